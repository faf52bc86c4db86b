"""What all tests share."""

import signal

# A run in the background of a script ignores Ctrl-C, and so would everything that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
