//! What the daemon costs when there is nothing to do.

use std::{fs, thread, time::Duration};

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB},
    traffic::{Server, page_arrives},
};

/// Processor time that a process used so far, user and system, in clock ticks: fields 14 and 15 of proc(5)'s stat.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let (_, after_name) = stat.rsplit_once(')').expect("the name is in brackets");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    [11, 12].iter().map(|&i| fields[i].parse::<u64>().expect("a number")).sum()
}

#[test]
#[ignore = "needs root"]
fn without_traffic_the_daemon_sleeps() {
    /// USER_HZ: the same on every architecture that Linux still runs on, Alpha aside.
    const TICKS_PER_SECOND: u64 = 100;
    const SECONDS: u64 = 5;
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB), "it was at work");
    thread::sleep(Duration::from_secs(1));
    let before = ticks(daemon.pid());
    thread::sleep(Duration::from_secs(SECONDS));
    let used = ticks(daemon.pid()) - before;
    let limit = SECONDS * TICKS_PER_SECOND * 2 / 100;
    assert!(used < limit, "{used} ticks in {SECONDS} s; 2 % are {limit}");
    assert!(page_arrives(&lab, WEB), "and it wakes up");
}
