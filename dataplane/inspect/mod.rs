//! Inspection: WASM modules that read frames in place.
