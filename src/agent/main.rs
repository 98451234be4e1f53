//! The `bespoke-probe` program; everything is in the library.

fn main() {
    std::process::exit(bespoke::agent::main());
}
