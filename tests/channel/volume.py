"""A volume in memory that answers what channel programs ask."""

from emulator.channel import track_image
from emulator.channel.asks import ReadBlocks, ReadTrack, Settle, WriteBlocks, WriteTrack
from emulator.channel.ccw import CHAIN_COMMAND, Ccw
from emulator.channel.ckd.device import CkdDevice
from emulator.channel.control_units import control_unit
from emulator.channel.engine import execute
from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord
from emulator.errors import DeviceError

CC = CHAIN_COMMAND


class Volume:
    """A count-key-data device with its tracks in memory; every track is empty at first."""

    def __init__(self, kind="3390-1", cylinders=20, unit=None, **options):
        self.geometry = geometry(kind, cylinders)
        unit = control_unit(unit) if unit else None
        self.device = CkdDevice(self.geometry, unit=unit, **options)
        self.tracks = {}
        self.asked = []
        self.broken = False

    def image(self, track):
        if track not in self.tracks:
            self.tracks[track] = self.canonical(track_image.build(*self.geometry.address(track)))
        return self.tracks[track]

    def canonical(self, image):
        return track_image.canonical(image, self.geometry.slot_bytes)

    def put(self, cylinder, head, records):
        track = self.geometry.track(cylinder, head)
        self.tracks[track] = self.canonical(track_image.build(cylinder, head, records))

    def records(self, cylinder, head):
        """What is on the track behind R0: (number, key, data)."""
        image = self.image(self.geometry.track(cylinder, head))
        found = list(track_image.records(image))
        return [
            NewRecord(r.number, image[r.data_offset : r.end], image[r.key_offset : r.data_offset])
            for r in found[1:]
        ]

    def answer(self, request):
        self.asked.append(request)
        if self.broken:
            raise DeviceError("mem:", "broken on purpose")
        match request:
            case ReadTrack(track):
                return self.image(track)
            case WriteTrack(track, offset, data, ends):
                new = track_image.overlay(self.image(track), offset, data, ends=ends)
                track_image.check(new, self.geometry, track)
                assert new == self.canonical(new)
                self.tracks[track] = new
        return None

    def run(self, *program, path=0):
        return drive(execute(self.device, path, program), self.answer)

    def chain(self, *program, path=0):
        """Run CCWs with command chaining between them."""
        return self.run(*chained(program), path=path)


class Blocks:
    """A fixed-block device in memory."""

    def __init__(self, device):
        self.device = device
        self.data = bytearray(device.blocks * 512)
        self.broken = False
        self.asked = []

    def answer(self, request):
        self.asked.append(request)
        if self.broken:
            raise DeviceError("mem:", "broken on purpose")
        match request:
            case ReadBlocks(block, blocks):
                return bytes(self.data[block * 512 : (block + blocks) * 512])
            case WriteBlocks(block, data):
                assert len(data) % 512 == 0
                self.data[block * 512 : block * 512 + len(data)] = data
            case Settle():
                pass
        return None

    def run(self, *program, path=0):
        return drive(execute(self.device, path, program), self.answer)

    def chain(self, *program, path=0):
        return self.run(*chained(program), path=path)


def chained(program):
    return [
        ccw._replace(flags=ccw.flags | (CC if place < len(program) - 1 else 0))
        for place, ccw in enumerate(program)
    ]


def drive(steps, answer):
    """Run a generator to its end, giving it what it asks."""
    reply, failure = None, None
    try:
        while True:
            request = steps.throw(failure) if failure else steps.send(reply)
            reply, failure = None, None
            try:
                reply = answer(request)
            except DeviceError as error:
                failure = error
    except StopIteration as end:
        return end.value


def send(command, data=b"", flags=0):
    """A CCW that sends all of its data."""
    return Ccw(command, len(data), data, flags)


def read(command, byte_count, flags=0):
    """A CCW that reads up to so many bytes."""
    return Ccw(command, byte_count, flags=flags)


def tic(target):
    return Ccw(0x08, target=target)
