//! The flows that the workers know.

use crossbeam_channel::bounded;

use super::{ANSWER, Workers};
use crate::{
    flow::{Flow, FlowKey},
    worker::{
        WorkerError,
        command::{Command, FlowsRead},
    },
};

/// Flows that a worker hands out between two batches.
const FLOWS_AT_ONCE: usize = 2048;

impl Workers {
    /// Hand every flow that a worker knows to `each`, with the worker's number. A flow whose directions two workers serve
    /// comes from both. Workers go on meanwhile, so that flows may be left out that come or go.
    ///
    /// # Errors
    /// A worker that does not answer; one that has died is left out.
    pub fn flows(&self, mut each: impl FnMut(u32, &Flow)) -> Result<(), WorkerError> {
        let dead = self.dead();
        for worker in (0..self.count()).filter(|worker| !dead.contains(worker)) {
            let (mut from, mut into) = (Some(0), Vec::with_capacity(FLOWS_AT_ONCE));
            while let Some(at) = from {
                let (reply, answer) = bounded(1);
                self.tell(worker, Command::Flows { from: at, into, reply })?;
                let read = answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
                let FlowsRead { flows, next } = read;
                flows.iter().for_each(|flow| each(worker, flow));
                (from, into) = (next, flows);
                into.clear();
            }
        }
        Ok(())
    }

    /// Let every worker forget a flow, or all. When this returns, what chains said of it makes no worker order anything.
    ///
    /// # Errors
    /// A worker that does not answer.
    pub fn forget_flows(&self, flow: Option<FlowKey>) -> Result<(), WorkerError> {
        let dead = self.dead();
        for worker in (0..self.count()).filter(|worker| !dead.contains(worker)) {
            let (reply, answer) = bounded(1);
            self.tell(worker, Command::Forget { flow, reply })?;
            answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
        }
        Ok(())
    }
}
