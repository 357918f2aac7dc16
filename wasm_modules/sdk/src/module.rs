//! What a module is, and the macro that makes a guest of it.

use alloc::string::String;

use serde::de::DeserializeOwned;

use crate::{Batch, Chunks, Setup};

/// A module: what it keeps between calls. There is one for each worker, and it has one thread.
pub trait Module: Sized + 'static {
    /// Its configuration. Give it `#[serde(deny_unknown_fields)]`, so that mistakes are found.
    type Config: DeserializeOwned;

    /// Start. Everything that traffic needs is allocated here.
    ///
    /// # Errors
    /// Why it does not load; the text names the option and the broken rule.
    fn new(config: Self::Config, setup: &mut Setup) -> Result<Self, String>;
}

/// A module that looks at packets: exports `sxf_inspect`.
pub trait Inspect: Module {
    /// Look at packets, and set the verdicts of those that shall not pass.
    fn inspect(&mut self, batch: &mut Batch<'_>);
}

/// A module that looks at TCP streams: exports `sxf_stream`.
pub trait Stream: Module {
    /// Look at pieces of streams, and set the verdicts of the packets ([`Chunk::packet`](crate::Chunk::packet)) that brought
    /// them.
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>);
}

/// What a module exports; [`module!`](crate::module!) implements it.
pub trait Exports: Module {
    /// JSON Schema of the configuration.
    const SCHEMA: &'static str;
    /// JSON object with the module's name, version and description.
    const ABOUT: &'static str;
    /// [`Inspect::inspect`] where it is exported.
    const INSPECT: Option<fn(&mut Self, &mut Batch<'_>)>;
    /// [`Stream::stream`] where it is exported.
    const STREAM: Option<fn(&mut Self, &mut Batch<'_>, Chunks<'_>)>;
}

/// Make a guest of a module: once in its crate, whose `[lib]` is a `cdylib` (and a `rlib` for tests in `tests/`).
///
/// `module!(MyModule: Inspect, schema = include_str!("../schema.json"));`, likewise with `Stream` or `Inspect + Stream`.
/// Name, version and description of the section `sxf_about` are those of `Cargo.toml`.
#[macro_export]
macro_rules! module {
    ($module:ty: Inspect + Stream, schema = $schema:expr $(,)?) => {
        $crate::module!(@exports $module, $schema, Some(<$module as $crate::Inspect>::inspect), Some(<$module as $crate::Stream>::stream));
        $crate::module!(@guest $module, inspect stream);
    };
    ($module:ty: Inspect, schema = $schema:expr $(,)?) => {
        $crate::module!(@exports $module, $schema, Some(<$module as $crate::Inspect>::inspect), None);
        $crate::module!(@guest $module, inspect);
    };
    ($module:ty: Stream, schema = $schema:expr $(,)?) => {
        $crate::module!(@exports $module, $schema, None, Some(<$module as $crate::Stream>::stream));
        $crate::module!(@guest $module, stream);
    };
    (@exports $module:ty, $schema:expr, $inspect:expr, $stream:expr) => {
        impl $crate::Exports for $module {
            const SCHEMA: &'static str = $schema;
            const ABOUT: &'static str = {
                $crate::about(env!("CARGO_PKG_DESCRIPTION"));
                concat!(
                    "{\"name\":\"", env!("CARGO_CRATE_NAME"), "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                    "\",\"description\":\"", env!("CARGO_PKG_DESCRIPTION"), "\"}"
                )
            };
            const INSPECT: Option<fn(&mut Self, &mut $crate::Batch<'_>)> = $inspect;
            const STREAM: Option<fn(&mut Self, &mut $crate::Batch<'_>, $crate::Chunks<'_>)> = $stream;
        }
    };
    (@guest $module:ty, $($entry:ident)+) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static STATE: $crate::guest::State<$module> = $crate::guest::State::new();

            const SCHEMA: &[u8] = <$module as $crate::Exports>::SCHEMA.as_bytes();
            #[used]
            #[unsafe(link_section = "sxf_schema")]
            static SCHEMA_SECTION: [u8; SCHEMA.len()] = *SCHEMA.first_chunk().unwrap();

            const ABOUT: &[u8] = <$module as $crate::Exports>::ABOUT.as_bytes();
            #[used]
            #[unsafe(link_section = "sxf_about")]
            static ABOUT_SECTION: [u8; ABOUT.len()] = *ABOUT.first_chunk().unwrap();

            #[unsafe(no_mangle)]
            extern "C" fn sxf_abi_version() -> u32 {
                $crate::abi::ABI_VERSION
            }

            #[unsafe(no_mangle)]
            extern "C" fn sxf_alloc(len: usize) -> *mut u8 {
                $crate::guest::alloc(len)
            }

            #[unsafe(no_mangle)]
            extern "C" fn sxf_init(config: *const u8, len: usize) -> u32 {
                // SAFETY: the host calls it, with what the ABI says.
                unsafe { $crate::guest::init(&STATE, config, len) }
            }

            $($crate::module!(@$entry);)+
        };
    };
    (@inspect) => {
        #[unsafe(no_mangle)]
        extern "C" fn sxf_inspect(batch: *mut $crate::abi::Packet, n: usize) -> u32 {
            // SAFETY: the host calls it, with what the ABI says.
            unsafe { $crate::guest::inspect(&STATE, batch, n) }
        }
    };
    (@stream) => {
        #[unsafe(no_mangle)]
        extern "C" fn sxf_stream(
            batch: *mut $crate::abi::Packet,
            n: usize,
            chunks: *const $crate::abi::Chunk,
            m: usize,
        ) -> u32 {
            // SAFETY: the host calls it, with what the ABI says.
            unsafe { $crate::guest::stream(&STATE, batch, n, chunks, m) }
        }
    };
}

/// Stops the compilation when the description of `Cargo.toml` would have to be escaped in JSON.
pub const fn about(description: &str) {
    let bytes = description.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        assert!(
            bytes[at] >= b' ' && bytes[at] != b'"' && bytes[at] != b'\\',
            "Cargo.toml: package.description must be one line without quotes and backslashes"
        );
        at += 1;
    }
}
