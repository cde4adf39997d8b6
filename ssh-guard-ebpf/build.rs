//! Has the programs linked anew when the linker is another one, which cargo itself does not look at.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf")
        && let Ok(linker) = env::var("RUSTC_LINKER")
    {
        println!("cargo::rerun-if-changed={linker}");
    }
}
