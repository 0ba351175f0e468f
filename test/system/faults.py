# SPDX-License-Identifier: Apache-2.0
"""The other side of test/tool/faults.c: makes the disk of one daemon fail, or its wall clock jump, while it runs."""
import errno
import mmap
import os
import random
import struct

import harness

KINDS = ("write", "sync", "allocate")
WALL, TORN, LIE, JOURNAL, PATH = 72, 80, 88, 96, 104
SIZE = PATH + 64
PAGE = 4096
RECORD_STATE = 3  # sealpost-spool(7)


class Faults:
    def __init__(self, path, uid, files="/spool/"):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        open(path + ".journal", "wb").close()
        for name in (path, path + ".journal"):
            os.chown(name, uid, uid)
        self.file = open(path, "r+b")
        self.page = mmap.mmap(self.file.fileno(), 4096)
        self.files(files)

    def files(self, part):
        """Faults are for files with this in their path."""
        self.page[PATH:PATH + 64] = part.encode().ljust(64, b"\0")

    def env(self):
        return {"LD_PRELOAD": harness.program("faults.so"), "SEALPOST_FAULTS": self.path}

    def _put(self, at, value):
        self.page[at:at + 8] = struct.pack("<q", value)

    def _get(self, at):
        return struct.unpack("<q", self.page[at:at + 8])[0]

    def fail(self, kind, error, times=-1, torn=False, lie=False):
        """From now on calls of this kind fail, so often (negative: until heal)."""
        at = 24 * KINDS.index(kind)
        self._put(TORN, torn)
        self._put(LIE, lie)
        self._put(at + 8, times)
        self._put(at, error)

    def failed(self, kind):
        """How many calls have failed so far."""
        return self._get(24 * KINDS.index(kind) + 16)

    def heal(self):
        for i in range(len(KINDS)):
            self._put(24 * i, 0)
        self._put(TORN, 0)
        self._put(LIE, 0)

    def clock(self, seconds):
        """The wall clock, so far from the true one."""
        self._put(WALL, int(seconds * 1000000))

    def journal(self, on=True):
        """Begins a new journal, or ends it. Only while the daemon does not run, or what is written before is missed."""
        os.truncate(self.path + ".journal", 0)
        self._put(JOURNAL, on)

    def unsafe(self):
        """{inode: {page: [(from, to, lost for certain?)]}}: bytes written and not safely synced since, by the journal."""
        with open(self.path + ".journal", "rb") as f:
            data = f.read()
        dirty, lost, begun = {}, {}, {}
        for i, (what, inode, offset, length) in enumerate(struct.iter_unpack("<4Q", data[:len(data) // 32 * 32])):
            pages, gone = dirty.setdefault(inode, {}), lost.setdefault(inode, {})
            if what == 1:
                for page in range(offset // PAGE, (offset + length + PAGE - 1) // PAGE):
                    # the whole page is dirty again, with what a failed sync had given up
                    old = [(lo, hi, i) for lo, hi, _ in gone.pop(page, ())]
                    pages.setdefault(page, []).extend(old)
                    pages[page].append((max(offset, page * PAGE), min(offset + length, (page + 1) * PAGE), i))
            elif what == 2:
                begun[offset, inode] = i
            elif what == 3:
                safe = begun.get((offset, inode), -1)
                for page in list(pages):
                    pages[page] = [x for x in pages[page] if x[2] >= safe]
                    if not pages[page]:
                        del pages[page]
            elif what == 4:  # the kernel gives these up and calls the pages clean
                for page, ranges in pages.items():
                    gone.setdefault(page, []).extend(ranges)
                pages.clear()
        out = {}
        for inode in dirty:
            marks = out[inode] = {}
            for source, certain in ((dirty, False), (lost, True)):
                for page, ranges in source[inode].items():
                    marks.setdefault(page, []).extend((lo, hi, certain) for lo, hi, _ in ranges)
        return out

    def power_cut(self, directory, rng=random):
        """After a kill: takes away what was not safely on the disk, byte for byte; what stood in the same page and was
        synced before stays. What a failed sync gave up is lost; of what no sync had reached, a page is lost or not by
        chance. Returns (pages lost, states of recipients among them)."""
        by_inode = {}
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            by_inode[os.stat(path).st_ino] = path
        pages = states = 0
        for inode, marks in self.unsafe().items():
            path = by_inode.get(inode)
            if not path:
                continue
            with open(path, "r+b") as f:
                mark = f.read(PAGE)[16:24]
                for page, ranges in marks.items():
                    if page == 0:
                        continue  # the title is written and synced before its segment is used
                    chance = rng.random() < 0.5
                    f.seek(page * PAGE)
                    old = f.read(PAGE)
                    new = bytearray(old)
                    for lo, hi, certain in ranges:
                        if certain or chance:
                            new[lo - page * PAGE:hi - page * PAGE] = bytes(hi - lo)
                    new = bytes(new[:len(old)])
                    if new == old:
                        continue
                    states += states_in(old, mark) - states_in(new, mark)
                    f.seek(page * PAGE)
                    f.write(new)
                    pages += 1
        return pages, states


def states_in(page, mark):
    """How many recipients' states begin in these bytes: STATE records of this life of the segment."""
    n = 0
    for at in range(0, len(page) - 47, 16):
        if page[at:at + 8] == mark and page[at + 36] == RECORD_STATE:
            n += struct.unpack(">H", page[at + 38:at + 40])[0]
    return n


ENOSPC, EIO = errno.ENOSPC, errno.EIO
