//! The `bespoke` program; everything is in the library.

fn main() {
    std::process::exit(bespoke::cli::main());
}
