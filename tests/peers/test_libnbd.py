"""The reference client library, libnbd, against our sessions: every command, flag and error."""

import textwrap

import pytest

pytestmark = [pytest.mark.peers, pytest.mark.needs("libnbd")]


@pytest.fixture
def nbdsh(run, uri):
    """Run a libnbd script; it has `h` (not connected yet), `uri` and `nbd`."""

    def run_script(script):
        head = f"import nbd\nuri = {uri!r}\nh = nbd.NBD()\n"
        tail = "\nprint('all held')\n"
        said = run("/usr/bin/python3", "-c", head + textwrap.dedent(script) + tail)
        assert said.endswith("all held\n")

    return run_script


def test_libnbd_commands(nbdsh, volume):
    nbdsh(
        """
        h.add_meta_context("base:allocation")
        h.connect_uri(uri)
        assert h.get_structured_replies_negotiated()
        h.pwrite(b"a" * 8192, 4096, nbd.CMD_FLAG_FUA)
        h.trim(4096, 4096, nbd.CMD_FLAG_FUA)
        h.zero(4096, 65536, nbd.CMD_FLAG_NO_HOLE)
        h.zero(4096, 65536, nbd.CMD_FLAG_FAST_ZERO)
        h.cache(65536, 0)
        h.flush()
        h.pwrite(b"b" * 4096, 65536)
        chunks = []
        def chunk(data, offset, status, error):
            chunks.append((offset, len(data), status))
        h.pread_structured(16384, 61440, chunk, nbd.CMD_FLAG_DF)
        assert chunks == [(61440, 16384, nbd.READ_DATA)], chunks
        chunks.clear()
        assert h.pread_structured(16384, 61440, chunk) == bytes(4096) + b"b" * 4096 + bytes(8192)
        assert chunks == [
            (61440, 4096, nbd.READ_HOLE),
            (65536, 4096, nbd.READ_DATA),
            (69632, 8192, nbd.READ_HOLE),
        ], chunks
        extents = []
        def extent(context, offset, entries, error):
            extents.append((context, offset, entries))
        h.block_status(1 << 20, 0, extent)
        ((context, offset, entries),) = extents
        assert (context, offset) == ("base:allocation", 0)
        assert sum(entries[::2]) == 1 << 20
        extents.clear()
        h.block_status(1 << 20, 65536, extent, nbd.CMD_FLAG_REQ_ONE)
        assert extents[0][2] == [4096, 0], extents
        h.shutdown()
        """,
    )
    assert volume.contents[65536:69632] == b"b" * 4096


def test_libnbd_errors(nbdsh, volume):
    nbdsh(
        """
        import errno
        h.connect_uri(uri)
        h.set_strict_mode(0)
        size = h.get_size()
        def refused(number, call, *arguments):
            try:
                call(*arguments)
            except nbd.Error as error:
                assert error.errnum == number, error
            else:
                raise AssertionError(f"{call} was not refused")
        refused(errno.EINVAL, h.pread, 512, size)
        refused(errno.EINVAL, h.pread, 512, size - 1)
        refused(errno.ENOSPC, h.pwrite, b"x" * 512, size - 511)
        refused(errno.ENOSPC, h.zero, 512, size)
        refused(errno.EINVAL, h.trim, 512, size)
        refused(errno.EINVAL, h.cache, 512, size)
        refused(errno.EINVAL, h.pwrite, b"x" * 512, 0, 1 << 15)
        refused(errno.EINVAL, h.block_status, 512, 0, lambda *args: 0)
        refused(errno.ENOTSUP, h.zero, 512, 0, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)
        h.pwrite(b"still", 0)
        assert h.pread(5, 0) == b"still"
        h.shutdown()

        # The most that one request carries, and one byte more.
        h = nbd.NBD()
        h.connect_uri(uri.replace("vol0", "vol2"))
        h.set_strict_mode(0)
        most = 32 << 20
        refused(errno.EOVERFLOW, h.pread, most + 1, 0)
        refused(errno.EINVAL, h.pwrite, bytes(most + 1), 0)
        h.pwrite(b"m" * most, 77)
        assert h.pread(most, 77) == b"m" * most
        """,
    )
    assert volume.contents[:5] == b"still"


def test_libnbd_negotiation(nbdsh):
    nbdsh(
        """
        h.set_opt_mode(True)
        h.connect_uri(uri)
        names = []
        h.opt_list(lambda name, text: names.append((name, text)))
        assert [name for name, _ in names] == ["vol0", "vol1", "vol2"], names
        contexts = []
        h.add_meta_context("base:")
        h.opt_list_meta_context(lambda name: contexts.append(name))
        assert contexts == ["base:allocation"], contexts
        h.set_export_name("nope")
        try:
            h.opt_info()
        except nbd.Error:
            pass
        else:
            raise AssertionError("an export that is not there was described")
        h.set_export_name("vol1")
        h.opt_info()
        assert h.get_size() == 123456
        h.opt_go()
        h.pwrite(b"end", 123453)
        assert h.pread(3, 123453) == b"end"
        h.shutdown()
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.connect_uri(uri)
        h.opt_abort()
        """,
    )


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_libnbd_with_old_ways(nbdsh, flags):
    nbdsh(
        f"""
        h.set_handshake_flags({flags})
        h.set_request_structured_replies(False)
        h.connect_uri(uri)
        assert not h.get_structured_replies_negotiated()
        h.pwrite(b"old", 77)
        assert h.pread(5, 76) == b"\\0old\\0"
        h.flush()
        h.shutdown()
        """,
    )


def test_libnbd_keeps_many_under_way(nbdsh, volume):
    nbdsh(
        """
        h.connect_uri(uri)
        blocks = [bytes([n]) * 4096 for n in range(200)]
        cookies = {h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b)), n * 4096)
                   for n, b in enumerate(blocks)}
        done = []
        while cookies:
            h.poll(-1)
            while cookies and (cookie := h.aio_peek_command_completed()) > 0:
                assert h.aio_command_completed(cookie)
                cookies.discard(cookie)
                done.append(cookie)
        assert done != sorted(done), "the server is meant to answer out of order"
        assert all(h.pread(4096, n * 4096) == b for n, b in enumerate(blocks))
        """,
    )


def test_libnbd_does_not_write_to_a_secondary(nbdsh, volume):
    volume.primary = False
    nbdsh(
        """
        import errno
        h.connect_uri(uri)
        assert h.is_read_only()
        h.set_strict_mode(0)
        for call, *arguments in (h.pwrite, b"x", 0), (h.trim, 1, 0), (h.zero, 1, 0):
            try:
                call(*arguments)
            except nbd.Error as error:
                assert error.errnum == errno.EPERM, error
            else:
                raise AssertionError("a secondary took a write")
        assert h.pread(1, 0) == bytes(1)
        """,
    )
