//! The referee of the comparison: a library that is loaded into the server (`LD_PRELOAD`) and notes, with no byte
//! changed, when the kernel received each piece of a request and when each chunk of an answer was written.
//!
//! A record is 24 bytes in a file that is mapped into the server: nanoseconds of `CLOCK_REALTIME`, then the descriptor
//! in the upper and the kind in the lower 32 bits, then the number in the answer's id (`cmpl-` and 16 hexadecimal
//! digits), or the length of what was read. The first record holds how many there are. Linux with glibc, x86-64 or
//! aarch64. `setup.sh` compiles it: `rustc -O --crate-type cdylib -C panic=abort referee.rs`.

use std::{
    ffi::{CString, c_char, c_int, c_long, c_void},
    sync::atomic::{AtomicU64, Ordering},
    sync::OnceLock,
};

/// Most records that a server may make: 768 MB of a sparse file.
const ROOM: u64 = 32 << 20;
const RECORD: usize = 24;
const RECEIVED: u64 = 1;
const WRITTEN: u64 = 2;

const SOL_SOCKET: c_int = 1;
const SO_TIMESTAMPING: c_int = 37;
/// Receive stamps by software, reported.
static STAMPS: c_int = (1 << 3) | (1 << 4);
const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const O_RDWR: c_int = 2;

#[cfg(target_arch = "x86_64")]
mod call {
    pub const SENDTO: super::c_long = 44;
    pub const RECVMSG: super::c_long = 47;
    pub const WRITEV: super::c_long = 20;
    pub const LISTEN: super::c_long = 50;
}
#[cfg(target_arch = "aarch64")]
mod call {
    pub const SENDTO: super::c_long = 206;
    pub const RECVMSG: super::c_long = 212;
    pub const WRITEV: super::c_long = 66;
    pub const LISTEN: super::c_long = 201;
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
pub struct Piece {
    base: *mut c_void,
    length: usize,
}

#[repr(C)]
struct Message {
    name: *mut c_void,
    name_length: u32,
    pieces: *mut Piece,
    piece_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

/// A control message that holds three stamps, the software's first, with room to spare.
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: c_int,
    kind: c_int,
    stamps: [Timespec; 3],
    spare: [u8; 64],
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, length: usize, protection: c_int, flags: c_int, fd: c_int, from: i64) -> *mut c_void;
}

/// The mapped file, as an address; 0 where there is none.
fn records() -> usize {
    static MAPPED: OnceLock<usize> = OnceLock::new();
    *MAPPED.get_or_init(|| {
        let Some(path) = std::env::var_os("REFEREE_FILE") else { return 0 };
        let bytes = RECORD * (ROOM as usize + 1);
        let made = std::fs::File::create(&path).and_then(|file| file.set_len(bytes as u64));
        let path = CString::new(path.as_encoded_bytes()).expect("a variable holds no NUL");
        made.expect("the referee's file can be made");
        // The file is as long as the mapping, and nothing else in this process has it.
        let at = unsafe {
            let fd = open(path.as_ptr(), O_RDWR);
            mmap(std::ptr::null_mut(), bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0)
        };
        assert!(at as isize != -1, "the referee's file can be mapped");
        at as usize
    })
}

fn note(at: u64, kind: u64, fd: c_int, what: u64) {
    let base = records();
    if base == 0 {
        return;
    }
    // The count's word and each record lie in the mapping, and each record is written by who drew its number.
    unsafe {
        let number = (*(base as *const AtomicU64)).fetch_add(1, Ordering::Relaxed);
        assert!(number < ROOM, "the referee's file is full");
        let record = (base + RECORD * (number as usize + 1)) as *mut u64;
        record.write(at);
        record.add(1).write((fd as u64) << 32 | kind);
        record.add(2).write(what);
    }
}

fn now() -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(0, &mut time) };
    nanoseconds(time)
}

fn nanoseconds(time: Timespec) -> u64 {
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// Notes each answer's id in what is about to be written: one a chunk.
fn note_chunks(fd: c_int, bytes: &[u8]) {
    const MARK: &[u8] = b"\"id\":\"cmpl-";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(MARK.len()).position(|window| window == MARK) {
        let from = at + found + MARK.len();
        at = from;
        let digits = bytes.get(from..from + 16).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(id) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            note(now(), WRITTEN, fd, id);
        }
    }
}

/// As libc's; the sockets that it will accept inherit that the kernel is to stamp what they receive.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    unsafe {
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, (&raw const STAMPS).cast(), 4);
        syscall(call::LISTEN, fd, backlog) as c_int
    }
}

/// As libc's; what a socket with stamps received is noted at the kernel's stamp.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, into: *mut c_void, length: usize, flags: c_int) -> isize {
    let mut piece = Piece { base: into, length };
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        stamps: [Timespec { seconds: 0, nanoseconds: 0 }; 3],
        spare: [0; 64],
    };
    let mut message = Message {
        name: std::ptr::null_mut(),
        name_length: 0,
        pieces: &mut piece,
        piece_count: 1,
        control: (&raw mut control).cast(),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let read = unsafe { syscall(call::RECVMSG, fd, &raw mut message, flags) as isize };
    if read > 0 && control.level == SOL_SOCKET && control.kind == SO_TIMESTAMPING {
        note(nanoseconds(control.stamps[0]), RECEIVED, fd, read as u64);
    }
    read
}

/// As libc's; each chunk is noted just before.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, pieces: *const Piece, count: c_int) -> isize {
    unsafe {
        for piece in std::slice::from_raw_parts(pieces, count as usize) {
            note_chunks(fd, std::slice::from_raw_parts(piece.base.cast::<u8>(), piece.length));
        }
        syscall(call::WRITEV, fd, pieces, count) as isize
    }
}

/// As libc's; each chunk is noted just before.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize {
    unsafe {
        note_chunks(fd, std::slice::from_raw_parts(bytes.cast::<u8>(), length));
        syscall(call::SENDTO, fd, bytes, length, flags, 0usize, 0u32) as isize
    }
}
