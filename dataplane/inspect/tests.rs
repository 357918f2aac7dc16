//! Behaviour that workers and administrators rely on.

mod asks;
mod basic;
mod dns;
mod failures;
mod guards;
mod http;
mod load;
mod metrics;
mod readme;
mod reload;
mod sections;
mod streams;
mod support;
mod window;
