//! The rule language: text to [`model::Rule`].

pub mod address;
mod build;
mod classify;
pub mod error;
pub mod header;
pub mod lexer;
pub mod model;
pub mod number;
pub mod options;
pub mod parse;
pub mod vars;
