//! Any bytes as the beginning of a TCP stream: tls_sni finds the same ClientHello in them, or the same flaw, wherever they are
//! split, and makes a fingerprint of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_sni::{Assembler, Flaw, Hello, Ja4, Step, whole};

/// The fingerprint and name, or the flaw.
fn judge(body: &[u8]) -> Result<(Ja4, Option<Vec<u8>>), Flaw> {
    let mut hello = Hello::new();
    hello.read(body)?;
    let name = hello.server_name.map(<[u8]>::to_vec);
    let fingerprint = Ja4::new(&mut hello);
    assert_eq!(Ja4::parse(fingerprint.as_str()), Some(fingerprint));
    Ok((fingerprint, name))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = (usize::from(input.0) + 1, input.1);
    let mut assembler = Assembler::default();
    let mut step = Step::More;
    for part in stream.chunks(size) {
        step = assembler.push(part);
        if step != Step::More {
            break;
        }
    }
    let judged = (step == Step::Complete).then(|| judge(assembler.body()));
    if let Some(body) = whole(stream) {
        assert_eq!(judged, Some(judge(body)));
    }
});
