//! Completions and the manual page, made from the arguments themselves.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Arguments;
use super::output::print;
use super::{Exit, Failure};

/// Prints completions for `shell`.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    // Into memory first: the generator panics where its writer fails, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "dpiscope", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}

/// Prints one manual page with all commands.
pub(crate) fn man() -> Result<Exit, Failure> {
    let mut command = Arguments::command();
    command.build();
    let main = clap_mangen::Man::new(command.clone());
    print(|out| {
        main.render_title(out)?;
        main.render_name_section(out)?;
        main.render_synopsis_section(out)?;
        main.render_description_section(out)?;
        for sub in command.get_subcommands() {
            let page = clap_mangen::Man::new(sub.clone());
            let mut section = Vec::new();
            page.render_synopsis_section(&mut section)?;
            page.render_description_section(&mut section)?;
            if sub.get_arguments().next().is_some() {
                page.render_options_section(&mut section)?;
            }
            writeln!(out, ".SH \"{}\"", sub.get_name().to_uppercase())?;
            // A command's sections become parts of its own section.
            let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
            out.write_all(section.as_bytes())?;
        }
        main.render_extra_section(out)?;
        main.render_version_section(out)
    })?;
    Ok(Exit::Done)
}
