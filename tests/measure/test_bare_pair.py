"""The bare pair that a site is measured beside does what it says, and no more."""

import random

from rig.host.nbd_client import connect_nbd
from rig.measure.peers import bare_python
from tests.system.sites import until

SIZE_BYTES = 1 << 20


def test_a_write_is_read_back_and_comes_to_the_partner(tmp_path):
    data = random.Random(1).randbytes(64 * 1024)
    with bare_python(tmp_path, SIZE_BYTES) as running, connect_nbd(running.uri) as volume:
        volume.write(65536, data)
        assert volume.read(65536, len(data)) == data
        assert volume.read(0, 4096) == bytes(4096)
        assert running.stores is not None
        stores = [running.stores / f"bare-{name}.nvs" for name in "ab"]
        assert data in stores[0].read_bytes()

        def arrived() -> bool:
            # The copy goes on when the host speaks: there is one thread.
            volume.read(0, 4096)
            return data in stores[1].read_bytes()

        until(arrived, "the partner has it")
        assert len(running.pids) == len(running.cpu_s())
