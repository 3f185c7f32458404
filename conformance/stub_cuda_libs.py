#!/usr/bin/env python3
"""Stands in for the CUDA libraries that the x86-64 torch wheel is linked to, so that torch can be
imported without a GPU and without 2.7 GB of further wheels.

  stub_cuda_libs.py SITE_PACKAGES

Every function of a stand-in returns 100 ("no CUDA device"), so torch.cuda.is_available() is false
and the CPU is used. Needs gcc and binutils."""

import glob
import os
import re
import subprocess
import sys

CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)")  # torch itself ships none of these
CUDA_SYMBOL = re.compile(r"_*(cu|nv|nccl)")
ERROR_TEXT = re.compile(r"Get(Last)?Error(String|Name)$|GetStatusString$")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Wanted:
    """What torch's libraries take from libraries that are not there."""

    def __init__(self):
        self.libraries = set()
        self.library_of_version = {}
        self.symbols_of_version = {}
        self.unversioned = set()
        self.defined = set()

    def add(self, file, present):
        for library in re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", file)):
            if library not in present and CUDA_LIBRARY.match(library):
                self.libraries.add(library)
        self.add_versions(run("readelf", "-V", "-W", file))
        for line in run("objdump", "-T", file).splitlines():
            self.add_symbol(line.split())

    def add_versions(self, text):
        library = None
        for line in text.splitlines():
            if found := re.search(r"File: (\S+)", line):
                library = found.group(1)
            if library and (found := re.search(r"Name: (\S+)", line)):
                self.library_of_version[found.group(1)] = library

    def add_symbol(self, words):
        if "*UND*" in words:
            at = words.index("*UND*")
            found = re.match(r"\(?([^()]+)\)?$", words[at + 2]) if len(words) > at + 3 else None
            if found and found.group(1) != "Base":
                self.symbols_of_version.setdefault(found.group(1), set()).add(words[-1])
            else:
                self.unversioned.add(words[-1])
        elif len(words) > 4 and re.match(r"[0-9a-f]{16}$", words[0]):
            self.defined.add(words[-1])

    def symbols(self, library):
        """The library's symbols by version, and those that name no version."""
        versions = {
            version: symbols
            for version, symbols in self.symbols_of_version.items()
            if self.library_of_version.get(version) == library
        }
        free = set()
        if library.startswith("libcusparseLt"):  # the only one that is linked without versions
            free = {name for name in self.unversioned - self.defined if CUDA_SYMBOL.match(name)}
        return versions, free


def assembly(symbols):
    lines = [".text", 'msg: .asciz "CUDA stand-in"', ".balign 16"]
    for name in sorted(symbols):
        body = "lea msg(%rip),%rax" if ERROR_TEXT.search(name) else "mov $100,%eax"
        lines.append(f".globl {name}\n.type {name},@function\n{name}: {body}\nret")
    lines.append('.section .note.GNU-stack,"",@progbits')
    return "\n".join(lines) + "\n"


def build(folder, library, versions, free):
    source, script = os.path.join(folder, "stub.S"), os.path.join(folder, "stub.map")
    with open(source, "w") as file:
        file.write(assembly(set().union(free, *versions.values())))
    nodes = [f"{version} {{ global: {'; '.join(sorted(symbols))}; }};" for version, symbols in versions.items()]
    with open(script, "w") as file:
        file.write("\n".join(nodes) + "\n")
    command = ["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{library}"]
    if nodes:
        command.append(f"-Wl,--version-script={script}")
    subprocess.run([*command, "-o", os.path.join(folder, library), source], check=True)
    os.remove(source)
    os.remove(script)


def main():
    folder = os.path.join(sys.argv[1], "torch", "lib")
    files = glob.glob(os.path.join(folder, "*.so*"))
    files = [file for file in files if not CUDA_LIBRARY.match(os.path.basename(file))]
    present = {os.path.basename(file) for file in files}
    wanted = Wanted()
    for file in files:
        wanted.add(file, present)
    for library in sorted(wanted.libraries):
        versions, free = wanted.symbols(library)
        build(folder, library, versions, free)
        print(library, sum(map(len, versions.values())), "symbols,", len(free), "without a version")


if __name__ == "__main__":
    main()
