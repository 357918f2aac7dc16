//! What the daemon costs when there is nothing to do.

use std::{thread, time::Duration};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB},
    traffic::{Server, page_arrives},
};

/// Processor time that a process used so far, of all its threads, as the scheduler counts it: to the nanosecond. The ticks
/// of proc(5)'s stat would charge whoever runs when the timer interrupts, and timers wake the daemon.
fn used(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid.try_into().expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("the process is there");
    clock_gettime(clock).expect("its clock can be read").into()
}

#[test]
#[ignore = "needs root"]
fn without_traffic_the_daemon_sleeps() {
    const QUIET: Duration = Duration::from_secs(5);
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB), "it was at work");
    thread::sleep(Duration::from_secs(1));
    let before = used(daemon.pid());
    thread::sleep(QUIET);
    let used = used(daemon.pid()) - before;
    assert!(used < QUIET / 50, "{used:?} in {QUIET:?}, more than 2 %");
    assert!(page_arrives(&lab, WEB), "and it wakes up");
}
