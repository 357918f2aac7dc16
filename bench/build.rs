//! Compiles the generator and the peers into OUT_DIR.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
};

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 4] = ["generator", "lpm", "lpm_bv", "path"];

fn main() -> Result<(), Box<dyn Error>> {
    // The peers parse packets with the dataplane's own parser.
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf");
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-changed={}", shared.display());
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut args = vec!["-Wall".to_owned(), "-Wextra".to_owned(), "-Werror".to_owned()];
    args.push(format!("-I{}", shared.display()));
    // Debian and Ubuntu keep <asm/types.h> in a folder of the host's architecture, which a BPF target does not search.
    let asm = PathBuf::from(format!("/usr/include/{}-linux-gnu", env::consts::ARCH));
    if asm.is_dir() {
        args.push(format!("-I{}", asm.display()));
    }
    for name in PROGRAMS {
        SkeletonBuilder::new()
            .source(format!("bpf/{name}.bpf.c"))
            .obj(out.join(format!("{name}.bpf.o")))
            .clang(&clang)
            .clang_args(&args)
            .build()?;
    }
    Ok(())
}
