//! Compiles the BPF programs into OUT_DIR, and generates the types that they share with user space.

use std::{env, error::Error, path::PathBuf, process::Command};

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 3] = ["entry", "generation", "inject"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let version = Command::new(&clang).arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Err(format!(
            "'{clang}' does not run, and the XDP programs are compiled with it: \
             install it with scripts/setup_dev_env.sh, or name another one in the environment variable CLANG"
        )
        .into());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut args = vec!["-Wall".to_owned(), "-Wextra".to_owned(), "-Werror".to_owned()];
    // Debian and Ubuntu keep <asm/types.h> in a folder of the host's architecture, which a BPF target does not search.
    let asm = PathBuf::from(format!("/usr/include/{}-linux-gnu", env::consts::ARCH));
    if asm.is_dir() {
        args.push(format!("-I{}", asm.display()));
    }
    for name in PROGRAMS {
        let mut builder = SkeletonBuilder::new();
        builder
            .source(format!("bpf/{name}.bpf.c"))
            .obj(out.join(format!("{name}.bpf.o")))
            .clang(&clang)
            .clang_args(&args);
        match name {
            "generation" => builder.build_and_generate(out.join("skeleton.rs"))?,
            "inject" => builder.build_and_generate(out.join("inject_skeleton.rs"))?,
            // The entry program has no type of its own.
            _ => builder.build()?,
        }
    }
    Ok(())
}
