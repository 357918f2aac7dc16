//! Any bytes as a DNS message, and as a stream of them: dns_guard's parser answers, names fit, and the stream's messages are the
//! same wherever it is split.
#![no_main]

use dns_guard::{Framing, Model, check, parts, signs};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static MODEL: Model = Model::default();
}

fn messages(stream: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (mut framing, mut messages) = (Framing::default(), Vec::new());
    for part in stream.chunks(size) {
        framing.push(part, |message| messages.push(message.to_vec()));
    }
    messages
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    let _ = check(bytes, 255, |name, kind| {
        assert!(name.as_bytes().len() < 255 && name.labels() < 128);
        let Some(parts) = parts(name.as_bytes()) else { return };
        assert!(name.as_bytes().ends_with(parts.registered) && signs(&parts, kind) <= 5);
        MODEL.with(|model| assert!(model.score(parts.label).is_none_or(|score| score < 0.0 && score > -20.0)));
    });
    assert_eq!(messages(bytes, size), messages(bytes, usize::MAX));
});
