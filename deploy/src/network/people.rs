//! Who may use the coordinator's HTTP interface from the start: the researcher, the access body and the operator, each with a token of
//! their own. The coordinator's configuration has the hashes, and each folder its token.

use bocage_coordinator::people::{Role, Token};
use bocage_protocol::env::Entropy;
use toml::Value;
use zeroize::Zeroizing;

use super::document::Document;
use super::render;
use super::spec::Network;
use super::tree::Tree;

/// How long the first tokens live. Later ones are made by the operator.
const DAYS: i64 = 365;

/// Somebody who uses the interface, and their folder.
struct Person {
    folder: &'static str,
    roles: &'static [Role],
    token: Token,
}

/// All of them.
pub struct People([Person; 3]);

impl People {
    /// New tokens.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let mut person = |folder, roles| Person { folder, roles, token: Token::generate(entropy) };
        Self([
            person("researcher", &[Role::Researcher]),
            person("access-body", &[Role::AccessBody]),
            person("operator", &[Role::Operator, Role::Steward]),
        ])
    }

    /// Names them in `coordinator.toml`.
    pub fn name(&self, doc: &mut Document) {
        doc.gap()
            .comment("Who may use the HTTP interface. Taken up once, at the first start; from then on:")
            .comment("bocage coordinator users|tokens|audit --config coordinator.toml");
        for person in &self.0 {
            let roles = person.roles.iter().map(|role| Value::from(role.as_str())).collect::<Vec<_>>();
            doc.element(&["user"])
                .set("name", person.folder)
                .set("roles", roles)
                .noted("token", person.token.hash().to_string(), "its hash")
                .set("days", DAYS);
        }
    }

    /// Puts each token, and the operator's profile, into its folder.
    pub fn folders(&self, network: &Network, root_pem: &str, tree: &mut Tree) {
        for person in &self.0 {
            let token = Zeroizing::new(format!("{}\n", person.token.reveal()));
            tree.secret(format!("{}/api.token", person.folder), token);
            if render::has_tls(network) {
                tree.file(format!("{}/ca.pem", person.folder), root_pem);
            }
        }
        tree.file("operator/profile.toml", render::operator_profile(network).text());
    }
}
