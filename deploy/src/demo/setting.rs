//! Where the demo takes place: four hospitals' embedded data, and a network made around them by the code of `bocage network init`.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use bocage_coordinator::client::Profile;
use bocage_net::env::{SystemClock, SystemEntropy};

use super::DemoError;
use crate::network::{self, Document, Network};

/// A hospital with its rows: the published file, byte for byte.
#[derive(Debug)]
pub struct Hospital {
    /// Its site id.
    pub id: &'static str,
    /// Its CSV file, without a header.
    pub csv: &'static str,
}

/// The four centres of the UCI heart disease study, in the order of the network.
pub const HOSPITALS: [Hospital; 4] = [
    Hospital { id: "cleveland", csv: include_str!("../../../tests/data/heart/cleveland.csv") },
    Hospital { id: "hungary", csv: include_str!("../../../tests/data/heart/hungary.csv") },
    Hospital { id: "switzerland", csv: include_str!("../../../tests/data/heart/switzerland.csv") },
    Hospital { id: "long-beach", csv: include_str!("../../../tests/data/heart/long-beach.csv") },
];

/// What is asked.
pub const STUDY: &str = include_str!("../../templates/study.toml");

const NETWORK: &str = include_str!("../../templates/network.toml");
const CONTRACT: &str = include_str!("../../templates/heart.toml");

/// The demo's folder, ready to be started.
#[derive(Debug)]
pub struct Setting {
    /// The folder.
    pub dir: PathBuf,
}

impl Setting {
    /// Makes network, data and study in `dir`, which must not exist or be empty. Where nobody is to ask under a permit, the coordinator
    /// knows the researcher by name: it lets the study through, so that the hospitals speak for themselves.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn make(dir: &Path, permit: bool) -> Result<Self, DemoError> {
        let dir = std::path::absolute(dir).map_err(|e| DemoError::write(dir, &e))?;
        let inputs = tempfile::tempdir().map_err(|e| DemoError::write(&std::env::temp_dir(), &e))?;
        let network_file = inputs.path().join("network.toml");
        write(&inputs.path().join("heart.toml"), CONTRACT)?;
        let (quic, api) = free_ports().map_err(DemoError::Ports)?;
        let text = with_addresses(quic, api);
        write(&network_file, &text)?;
        let network = Network::read(&network_file)?;
        network::init(&network, &dir, &SystemClock, &mut SystemEntropy)?;
        let setting = Self { dir };
        write(&setting.dir.join("network.toml"), &text)?;
        write(&setting.dir.join("heart.toml"), CONTRACT)?;
        write(&setting.study(), STUDY)?;
        for hospital in &HOSPITALS {
            write(&setting.dir.join("sites").join(hospital.id).join("data/heart.csv"), hospital.csv)?;
        }
        if !permit {
            setting.let_the_coordinator_know_the_researcher()?;
        }
        std::fs::create_dir(setting.logs()).map_err(|e| DemoError::write(&setting.logs(), &e))?;
        Ok(setting)
    }

    fn let_the_coordinator_know_the_researcher(&self) -> Result<(), DemoError> {
        let profile = Profile::find(Some(&self.profile()))?;
        let mut entry = Document::new();
        entry
            .gap()
            .comment("Taken in without a permit: this demo shows what the sites say to that.")
            .element(&["researcher"])
            .set("name", "Demo researcher")
            .set("key", profile.key()?.public().to_string());
        let file = self.coordinator();
        let text = std::fs::read_to_string(&file).map_err(|e| DemoError::write(&file, &e))?;
        write(&file, &(text + entry.text()))
    }

    /// The coordinator's configuration.
    pub fn coordinator(&self) -> PathBuf {
        self.dir.join("coordinator/coordinator.toml")
    }

    /// A node's configuration.
    pub fn node(&self, site: &str) -> PathBuf {
        self.dir.join("sites").join(site).join("node.toml")
    }

    /// The researcher's profile.
    pub fn profile(&self) -> PathBuf {
        self.dir.join("researcher/profile.toml")
    }

    /// The researcher's permit.
    pub fn permit(&self) -> PathBuf {
        self.dir.join("researcher/researcher.permit")
    }

    /// The study's text.
    pub fn study(&self) -> PathBuf {
        self.dir.join("study.toml")
    }

    /// The folder of the processes' logs.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    std::fs::write(path, text).map_err(|e| DemoError::write(path, &e))
}

/// The template with these addresses in place of its own.
fn with_addresses(quic: SocketAddr, api: SocketAddr) -> String {
    NETWORK.replace("127.0.0.1:4433", &quic.to_string()).replace("127.0.0.1:8443", &api.to_string())
}

/// Two loopback ports that were free a moment ago.
fn free_ports() -> std::io::Result<(SocketAddr, SocketAddr)> {
    let quic = UdpSocket::bind(("127.0.0.1", 0))?;
    let api = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((quic.local_addr()?, api.local_addr()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_has_everything_and_a_second_demo_does_not_touch_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("demo");
        let setting = Setting::make(&out, true).unwrap();
        for file in [setting.coordinator(), setting.profile(), setting.study(), setting.node("long-beach")] {
            assert!(file.is_file(), "{}", file.display());
        }
        let kept = std::fs::read(out.join("sites/hungary/data/heart.csv")).unwrap();
        assert_eq!(kept, HOSPITALS[1].csv.as_bytes());
        assert!(matches!(Setting::make(&out, true), Err(DemoError::Network(_))));
    }

    #[test]
    fn the_addresses_of_the_template_are_replaced() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = with_addresses(addr(1111), addr(2222));
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(parsed["coordinator"]["quic"].as_str(), Some("127.0.0.1:1111"));
        assert_eq!(parsed["coordinator"]["api"].as_str(), Some("127.0.0.1:2222"));
    }
}
