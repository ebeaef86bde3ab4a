"""What every label says of sockets, whatever its language: whether the job has a network at all."""

from __future__ import annotations

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.controls.room import Scene
from sandboxer.model.policy import Trait

NET_RAW = 1 << CAPABILITIES["net_raw"]
_NET_ADMIN = 1 << CAPABILITIES["net_admin"]


def has_network(scene: Scene) -> bool:
    """Whether a label lets the job make other sockets than unix ones: where it has a network, or could bring one up."""
    is_own = Trait.NEW_NET_NAMESPACE in scene.traits
    is_up = not is_own or bool({Trait.HOST_NETWORK, Trait.WANTS_LOOPBACK} & scene.traits)
    return is_up or bool(scene.capabilities & _NET_ADMIN)
