"""A program of another maker's DDS, without ROS: prints one joint state as JSON. For test_end_to_end.py.

python foreign_peer.py DOMAIN TOPIC SECONDS
"""

# No postponed annotations: cyclonedds reads the types of the fields.
import json
import sys
import time
from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import float64, int32, sequence, uint32
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

LOCALHOST = """
<CycloneDDS><Domain id="any">
  <General>
    <Interfaces><NetworkInterface address="127.0.0.1" multicast="false"/></Interfaces>
    <AllowMulticast>false</AllowMulticast>
  </General>
  <Discovery>
    <ParticipantIndex>auto</ParticipantIndex>
    <MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>
    <Peers><Peer address="127.0.0.1"/></Peers>
  </Discovery>
</Domain></CycloneDDS>
"""


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class JointState(IdlStruct, typename="sensor_msgs::msg::dds_::JointState_"):
    header: Header
    name: sequence[str]
    position: sequence[float64]
    velocity: sequence[float64]
    effort: sequence[float64]


def main() -> int:
    number, name, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    domain = Domain(number, LOCALHOST)
    participant = DomainParticipant(number)
    topic = Topic(participant, f"rt{name}", JointState)
    reader = DataReader(participant, topic, qos=Qos(Policy.Reliability.BestEffort))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for state in reader.take(N=1):
            print(json.dumps({"name": list(state.name), "position": list(state.position)}))
            return 0
        time.sleep(0.05)
    del domain
    return 1


if __name__ == "__main__":
    sys.exit(main())
