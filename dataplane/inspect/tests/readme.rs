//! What the documents say of modules: their examples work, and the table of the packet descriptor is true.

use std::{fs, mem::offset_of, path::Path, process::Command};

use secuxflow_abi::{Packet, chunk, verdict};

use super::support::{Bench, config, module, piece, tcp, udp};

const ABI: &str = include_str!("../../../wasm_modules/README.md");
const FRONT: &str = include_str!("../../../README.md");

/// The example of a document in one language.
fn example(document: &'static str, language: &str) -> &'static str {
    let start = format!("```{language}\n");
    let rest = document.split_once(&start).unwrap_or_else(|| panic!("no example in {language}")).1;
    rest.split_once("```").unwrap().0
}

/// A bench around an example in C, compiled with the flags that the specification gives.
fn compiled(text: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let (source, wasm) = (dir.path().join("m.c"), dir.path().join("m.wasm"));
    fs::write(&source, text).unwrap();
    let line = ABI.lines().find_map(|line| line.trim_matches('`').strip_prefix("clang ")).unwrap();
    let flags = line.split(' ').take_while(|word| *word != "m.c");
    let done = Command::new("clang")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm_modules"))
        .args(flags)
        .args([source.as_path(), Path::new("-o"), &wasm])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Bench::new(&[config("example", &wasm)])
}

fn drops_telnet_only(mut bench: Bench) {
    let frames = [tcp(23, 0x18, b"a"), tcp(80, 0x18, b"a"), udp(23, b"a"), tcp(23, 0x02, b"")];
    assert_eq!(bench.run(&frames), [false, true, true, false]);
}

#[test]
fn the_example_in_text_works() {
    let (config, _file) = module("example", example(ABI, "wat"));
    drops_telnet_only(Bench::new(&[config]));
}

#[test]
fn the_examples_in_c_work() {
    drops_telnet_only(compiled(example(ABI, "c")));
    let mut bench = compiled(example(FRONT, "c"));
    let frames = [tcp(80, 0x18, b"\x7fELF"), tcp(80, 0x18, b"ELF\x7f"), tcp(80, 0x10, b"")];
    assert_eq!(bench.run(&frames), [false, true, true]);
}

#[test]
fn the_template_in_c_works() {
    let mut bench = compiled(include_str!("../../../wasm_modules/template/c/my_module.c"));
    let send = |(flow, payload): (u64, &[u8])| (flow, tcp(80, 0x18, payload));
    let frames = [(9, &b"a sec"[..]), (8, b"ret"), (9, b"ret b")].map(send);
    let chunks = [piece(0, &frames, 0, chunk::START), piece(1, &frames, 0, chunk::START), piece(2, &frames, 5, 0)];
    assert_eq!(bench.stream(&frames, &chunks), [verdict::PASS, verdict::PASS, verdict::REJECT]);
    assert_eq!(bench.raised().iter().map(|alert| alert.signature).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_table_of_the_descriptor_is_true() {
    macro_rules! fields {
        ($($name:ident: $type:ty = $word:literal),* $(,)?) => {
            [$({
                let _typed = |packet: &Packet| -> $type { packet.$name };
                format!("| {} | {} | {} |", offset_of!(Packet, $name), $word, stringify!($name))
            }),*]
        };
    }
    let fields = fields![
        flow: u64 = "u64",
        frame: u32 = "u32",
        len: u32 = "u32",
        l3: u16 = "u16",
        l4: u16 = "u16",
        payload: u16 = "u16",
        payload_len: u16 = "u16",
        ethertype: u16 = "u16",
        src_port: u16 = "u16",
        dst_port: u16 = "u16",
        protocol: u8 = "u8",
        tcp_flags: u8 = "u8",
        flags: u32 = "u32",
        rule: u32 = "u32",
        ingress: u32 = "u32",
        verdict: u32 = "u32",
        reserved: [u32; 4] = "u32 × 4",
    ];
    for row in &fields {
        assert!(ABI.contains(row.as_str()), "wasm_modules/README.md lacks: {row}");
    }
    let rows = ABI.lines().skip_while(|line| !line.starts_with("| offset ")).skip(2);
    assert_eq!(rows.take_while(|line| line.starts_with('|')).count(), fields.len());
}
