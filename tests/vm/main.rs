//! secuxflow in a virtual machine, on kernels and network cards that the machine at hand does not have. `README.md` beside
//! this file draws the topology and says what is asserted. Nothing here runs but in that machine: `scripts/test_vm.sh`
//! builds this and the daemon as static programs and boots them.

mod daemon;
mod traffic;

mod linux_6_1;
mod zero_copy;
