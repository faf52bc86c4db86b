"""camera_node on a software camera, in a process of its own as in the graph. For test_robot_node.py.

python camera_process.py NAMESPACE, then a word a line on stdin: "off" unplugs the camera, "on" plugs it in. Each is
answered with the time [s, time.monotonic] at which that was done; the end of stdin ends it.
"""

import sys
import time

import numpy as np
import rclpy

from toolwright.hardware.drivers.realsense import CameraSettings, RealSense
from toolwright.hardware.fake.realsense_device import SoftwareCamera
from toolwright.hardware.ros.camera_node import CameraNode
from toolwright.hardware.ros.node import SWITCH, spinning

RATE = 60  # images/s


def main() -> None:
    sys.setswitchinterval(SWITCH)
    rclpy.init()
    device = SoftwareCamera((64, 48), rate=RATE)
    settings = CameraSettings(64, 48, RATE, timeout=10.0, spatial=False, temporal=False)
    black = np.full((48, 64), 1000, np.uint16), np.zeros((48, 64, 3), np.uint8)
    with device.running(lambda i: black):
        ros_node = rclpy.create_node("camera_node", namespace=sys.argv[1])
        node = CameraNode(lambda _: RealSense(settings=settings, find=device.find), ros_node)
        with spinning(ros_node):
            for word in sys.stdin:
                device.plugged_in = word.strip() == "on"
                print(time.monotonic(), flush=True)
            node.close()
    ros_node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
