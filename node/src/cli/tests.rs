//! What the command line takes, and passes on.

use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["bocage-node"], args].concat())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_usage_line_has_the_whole_command_as_it_was_typed() {
    let usage = |program: &str| Cli::try_parse_from([program, "studies", "approve"]).err().unwrap().to_string();
    for program in ["bocage-node", "bocage node"] {
        assert!(usage(program).contains(&format!("Usage: {program} studies approve <STUDY>")), "{}", usage(program));
    }
}

#[test]
fn options_reach_the_children_as_they_were_given() {
    let cli = parse(&["run", "--config", "a/node.toml", "--set", "policy.threshold=20", "--log", "json"]).unwrap();
    let forwarded = cli.common.forwarded();
    let again: Vec<&str> = forwarded.iter().map(|s| s.to_str().unwrap()).collect();
    let child = parse(&[&["custodian"], &again[..], &["--parent", "7", "--overran", "9"]].concat()).unwrap();
    assert_eq!(child.common.overrides, [("policy.threshold".to_owned(), "20".to_owned())]);
    assert_eq!(child.common.config, PathBuf::from("a/node.toml"));
    let Command::Custodian(args) = child.command else { panic!("not the custodian") };
    assert_eq!((args.parent, args.overran), (Some(7), Some(9)));
}

#[test]
fn a_setting_without_a_value_is_refused_and_children_are_not_in_the_help() {
    assert!(parse(&["check", "--set", "policy.threshold"]).is_err());
    let Err(missing) = parse(&["--config", "x"]) else { panic!("a command is wanted") };
    let said = without_hidden(missing).to_string();
    assert!(said.contains("ledger") && !said.contains("custodian"), "{said}");
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("ledger") && !help.contains("custodian"), "{help}");
}
