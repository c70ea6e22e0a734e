//! `bocage-node enrol`: makes a site's keys and its folder from an invitation, then looks at it as `doctor` does.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::secret::read_secret_text;
use bocage_protocol::env::Clock as _;
use bocage_protocol::limits::{CONFIG_TEXT_BYTES, SECRET_FILE_BYTES};
use clap::Args;
use zeroize::Zeroizing;

use super::check_policy;
use super::output::{Failure, Format, print};
use crate::config::{Config, Origin};
use crate::enrol::{EnrolError, Invited, MORE, Proposal, Through};

/// What the command takes.
#[derive(Args)]
pub struct EnrolArgs {
    /// The invitation, as the network's operator sent it
    file: PathBuf,
    /// The folder to make; it must not exist or be empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The HTTP proxy on the way to the coordinator: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Who we are to the proxy
    #[arg(long, value_name = "NAME", requires = "proxy", requires = "proxy_password_file")]
    proxy_user: Option<String>,
    /// What the network's operator said that the file's fingerprint is: another file is refused before anything is made
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// The file with the password for it (mode 0600)
    #[arg(long, value_name = "FILE", requires = "proxy_user")]
    proxy_password_file: Option<PathBuf>,
    /// The authorities that vouch for an https:// proxy, in PEM
    #[arg(long, value_name = "FILE", requires = "proxy")]
    proxy_ca_file: Option<PathBuf>,
}

impl EnrolArgs {
    /// Enrols, and looks at what came of it.
    ///
    /// # Errors
    /// The site is not in; the same command goes on where this one ended. Or something else needs mending.
    pub fn run(&self) -> Result<(), Failure> {
        let invited = Invited::read(&self.file, SystemClock.now()).map_err(failure)?;
        if self
            .fingerprint
            .as_ref()
            .is_some_and(|told| !told.trim().eq_ignore_ascii_case(&invited.invitation.fingerprint))
        {
            let message = format!("{}: its fingerprint is {}", self.file.display(), invited.invitation.fingerprint);
            let hint = "this is not the file that the network's operator made: do not enrol with it, and tell them";
            return Err(Failure::theirs(message).hint(hint));
        }
        let through = self.through()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)?;
        let mut entropy = SystemEntropy;
        let enrolling = invited.enrol(&self.dir, through.as_ref(), Arc::new(SystemClock), &mut entropy);
        let dir = runtime.block_on(enrolling).map_err(failure)?;
        let (of, file) = (&invited.invitation, dir.join("node.toml"));
        let origin = Origin { file: file.clone(), overrides: Vec::new() };
        // What is wrong with it, the look at the folder says below.
        let config = Config::load(&origin).ok();
        print(|out| {
            writeln!(
                out,
                "site {} is in network {}: its keys and certificate are in {}",
                of.site,
                of.network,
                dir.display()
            )?;
            match &self.fingerprint {
                Some(_) => writeln!(out, "fingerprint: {}, as you were told", of.fingerprint)?,
                None => writeln!(out, "fingerprint: {} (compare it with the network's operator)", of.fingerprint)?,
            }
            proposed(out, &invited.proposal, config.as_ref())?;
            writeln!(
                out,
                "next: say in {} which data the site offers, then bocage node run --config {0}\n",
                file.display()
            )
        })?;
        super::doctor::run(&origin, Arc::new(SystemClock), Format::Text)
    }

    fn through(&self) -> Result<Option<Through>, Failure> {
        let Some(url) = &self.proxy else { return Ok(None) };
        let password = self.proxy_password_file.as_ref().map(|file| {
            let text = read_secret_text(file, SECRET_FILE_BYTES).map_err(Failure::theirs)?;
            Ok::<_, Failure>(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        });
        let credentials = self.proxy_user.clone().zip(password.transpose()?);
        let ca_pem = self.proxy_ca_file.as_ref().map(|file| {
            let wrong = |error: &dyn std::fmt::Display| Failure::theirs(format!("{}: {error}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
            if text.len() <= CONFIG_TEXT_BYTES { Ok(text) } else { Err(wrong(&"larger than a bundle of certificates")) }
        });
        Ok(Some(Through { url: url.clone(), credentials, ca_pem: ca_pem.transpose()? }))
    }
}

/// What the network proposes that the site lets out, and then in words what holds with that.
fn proposed(out: &mut dyn Write, proposal: &Proposal, config: Option<&Config>) -> io::Result<()> {
    writeln!(
        out,
        "\nthe network proposes this [policy], and node.toml has it now; the site may change each line of it:"
    )?;
    for (line, more) in proposal.lines() {
        let mark = if more { format!("    <- {MORE}") } else { String::new() };
        writeln!(out, "    {line}{mark}")?;
    }
    writeln!(out)?;
    if let Some(config) = config {
        check_policy::policy(out, config)?;
        writeln!(out)?;
    }
    Ok(())
}

fn failure(error: EnrolError) -> Failure {
    let failure = Failure::theirs(&error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::trust::{INVITATION_FORMAT, Invitation, InvitationToken};

    use super::*;
    use crate::fixture::Site;

    #[test]
    fn whoever_enrols_reads_each_line_that_the_network_proposes_which_let_out_more_and_what_they_mean() {
        let policy = serde_json::json!({
            "decide": "ask",
            "per_site_results": true,
            "models": "exact",
            "quiet": ["22:00-06:00"],
            "rule": [{ "purpose": "education", "decide": "refuse" }],
        });
        let invitation = Invitation {
            format: INVITATION_FORMAT,
            network: "north".parse().unwrap(),
            site: "aa".parse().unwrap(),
            name: "Hospital A".into(),
            quic: "127.0.0.1:4433".into(),
            tcp: "127.0.0.1:443".into(),
            token: InvitationToken::generate(&mut SystemEntropy),
            expires_at: SystemClock.now(),
            fingerprint: String::new(),
            threshold: 5,
            policy: policy.as_object().unwrap().clone(),
            roots: String::new(),
            access_bodies: vec![],
            contracts: vec![],
        };
        let proposal = Proposal::of(&invitation).unwrap();
        let site = Site::new();
        site.edit_config("[policy]", "[policy]\nper_site_results = true\nmodels = \"exact\"");
        let config = Config::load(&site.origin()).unwrap();
        let said = |config| {
            let mut out = Vec::new();
            proposed(&mut out, &proposal, config).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = said(Some(&config));
        for line in [
            "    decide = \"ask\"\n",
            "    per_site_results = true    <- more than a site lets out by itself\n",
            "    models = \"exact\"    <- more than a site lets out by itself\n",
            "    threshold = 5    <- more than a site lets out by itself\n",
            "    quiet = [\"22:00-06:00\"]\n",
            "every study: models are answered exactly, whatever the mode\n",
            "every study: results of this site alone are published",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let rule = text.lines().find(|line| line.contains("rule = ")).unwrap();
        assert!(rule.contains("education") && !rule.contains("more than"), "{rule}");
        assert!(said(None).contains("threshold = 5"), "also where the new file is no good");
    }
}
