//! How far a capture has been read, on a terminal.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bytes between two looks at the clock.
const STEP: u64 = 1 << 18;

/// A bar on standard error where that is a terminal, else nothing.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    shown: u64,
}

impl Progress {
    /// A bar for a file of `length` bytes; with an unknown length it tells only how much was read.
    pub(super) fn new(length: Option<u64>) -> Self {
        if !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), shown: 0 };
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let form = match length {
            Some(_) => "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{spinner} {bytes} {bytes_per_sec}",
        };
        // The forms above are fixed; with one that is not understood the bar has its own.
        let bar = match ProgressStyle::with_template(form) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, shown: 0 }
    }

    /// So many bytes were read.
    pub(super) fn at(&mut self, position: u64) {
        if position >= self.shown + STEP {
            self.shown = position;
            self.bar.set_position(position);
        }
    }

    /// Do something to the terminal while the bar is away.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.bar.is_hidden() { write() } else { self.bar.suspend(write) }
    }

    /// Take the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
