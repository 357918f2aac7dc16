//! The thread of a worker: turns, commands between them, and sleep when there is nothing to do.
#![expect(unsafe_code, reason = "poll on descriptors that sockets own which are no Rust objects")]

use std::{io, os::fd::RawFd, sync::Arc, time::Instant};

use arc_swap::{ArcSwap, Cache};
use crossbeam_channel::Receiver;

use super::{
    command::Command,
    core::{Core, Waiting},
    rivals::{Rivals, Waited},
    set::Idle,
    spin::Spin,
};
use crate::{clock, process::Snapshot, xsk::KernelRings};

/// Longest sleep while frames wait for room, milliseconds.
const ROOM_MS: i32 = 1;
/// Longest sleep while sent frames are to come back: doubled from 1 up to this, for some never come while a receiver
/// does not read.
const COMPLETIONS_MS: i32 = 64;

/// Run until told to stop.
pub(super) fn run(
    mut core: Core<KernelRings>,
    commands: &Receiver<Command>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    idle: Idle,
) {
    let mut snapshot = Cache::new(snapshot);
    let mut fds = Vec::new();
    let mut patience = ROOM_MS;
    let mut spin = Spin::new(idle.spin, Instant::now());
    let waited = Waited::here();
    let mut rivals = Rivals::new(Instant::now(), waited.time());
    loop {
        while let Ok(command) = commands.try_recv() {
            if core.command(command) {
                return;
            }
        }
        if core.turn(snapshot.load(), &clock::monotonic_ns) {
            patience = ROOM_MS;
            spin.worked();
        } else if idle.busy_poll
            || spin.polls_on(core.shared().stats.packets(), Instant::now, |now| rivals.present(now, || waited.time()))
        {
            if idle.prefer_busy_poll {
                core.drive();
            }
            std::hint::spin_loop();
        } else {
            let timeout = match core.waiting() {
                Waiting::Idle => -1,
                Waiting::Completions => {
                    core.nudge();
                    patience
                }
                Waiting::Room => ROOM_MS,
            };
            patience = (patience * 2).min(COMPLETIONS_MS);
            sleep(&mut core, commands, &mut fds, timeout);
            spin.woke(Instant::now);
        }
    }
}

/// Sleep until a frame comes in, another thread rings, or `timeout` milliseconds have passed (-1: no limit).
fn sleep(core: &mut Core<KernelRings>, commands: &Receiver<Command>, fds: &mut Vec<libc::pollfd>, timeout: i32) {
    core.shared().about_to_sleep();
    if core.shared().mailbox.is_empty() && commands.is_empty() {
        let entry = |fd: RawFd, events| libc::pollfd { fd, events, revents: 0 };
        fds.clear();
        fds.push(entry(core.shared().bell(), libc::POLLIN));
        // A TX ring with room is always writable, so ports that only send are polled for errors only; in copy mode
        // looking at them makes the kernel send, too.
        fds.extend(core.pollable().map(|(fd, receives)| entry(fd, if receives { libc::POLLIN } else { 0 })));
        if let Err(error) = poll(fds, timeout) {
            tracing::error!(%error, "a worker cannot poll its sockets");
            // Never spin on a call that fails at once.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for ready in fds.iter().skip(1) {
            if ready.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
                core.hung_up(ready.fd);
            }
        }
    }
    core.shared().awake();
}

/// Poll; an interruption counts as a timeout.
fn poll(fds: &mut [libc::pollfd], timeout: i32) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one slice of `pollfd`, borrowed until the call returns.
    let status = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
    match status {
        0.. => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
    }
}
