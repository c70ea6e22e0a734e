//! The coordinator's executable. Everything it does is in the library.

fn main() -> std::process::ExitCode {
    bocage_coordinator::cli::main(std::env::args_os(), bocage_coordinator::cli::Switches::default())
}
