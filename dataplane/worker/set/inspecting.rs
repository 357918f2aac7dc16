//! What the workers inspect and inject by.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::AcqRel},
};

use crossbeam_channel::bounded;

use super::{ANSWER, Inspecting, Workers};
use crate::{
    egress::Inject,
    worker::{WorkerError, command::Command},
};

impl Workers {
    /// Let `worker` inspect by `inspect` from its next batch on. No packet is lost; the one before is handed back.
    ///
    /// # Errors
    /// A worker that does not answer; it goes on by the one before.
    pub fn set_inspect(&self, worker: u32, inspect: Inspecting) -> Result<Inspecting, WorkerError> {
        let (claim, (reply, answer)) = (Arc::new(AtomicBool::new(false)), bounded(1));
        self.tell(worker, Command::Inspect { inspect, claim: Arc::clone(&claim), reply })?;
        let answered = answer.recv_timeout(ANSWER).or_else(|error| match claim.swap(true, AcqRel) {
            // It took the runner at the last moment.
            true => answer.recv_timeout(ANSWER),
            false => Err(error),
        });
        answered.map_err(|_| WorkerError::Unresponsive(worker))
    }

    /// Let each worker inspect by its runner, all or none; those before are handed back.
    ///
    /// # Errors
    /// A worker that does not answer; all go on by those before.
    pub fn set_all_inspect(&self, runners: Vec<(u32, Inspecting)>) -> Result<Vec<(u32, Inspecting)>, WorkerError> {
        let mut before = Vec::with_capacity(runners.len());
        for (worker, runner) in runners {
            match self.set_inspect(worker, runner) {
                Ok(old) => before.push((worker, old)),
                Err(error) => {
                    for (worker, old) in before {
                        if let Err(error) = self.set_inspect(worker, old) {
                            tracing::error!(%error, worker, "a worker keeps modules that were taken back: restart the daemon");
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(before)
    }

    /// Let `worker` inject by `lane` from now on, for every egress that has a device.
    ///
    /// # Errors
    /// A worker that does not answer.
    pub fn set_lane(&self, worker: u32, lane: Box<dyn Inject>) -> Result<(), WorkerError> {
        let (reply, answer) = bounded(1);
        self.tell(worker, Command::Lane { lane: Some(lane), reply })?;
        answer.recv_timeout(ANSWER).map(drop).map_err(|_| WorkerError::Unresponsive(worker))
    }
}
