//! Who may use the coordinator's HTTP interface from the start: the researcher, the access body and the operator, each with a token of
//! their own. The coordinator's configuration has the hashes, and each folder its token.

use bocage_coordinator::people::{Role, Token, TokenHash};
use bocage_protocol::env::Entropy;
use toml::Value;
use zeroize::Zeroizing;

use super::document::Document;
use super::kept::Kept;
use super::render;
use super::spec::Network;
use super::tree::Tree;

/// How long the first tokens live. Later ones are made by the operator.
const DAYS: i64 = 365;
const OPERATOR: &str = "operator";

/// Somebody who uses the interface, and their folder.
struct Person {
    folder: &'static str,
    roles: &'static [Role],
    hash: TokenHash,
    /// None where their folder was brought away with it.
    token: Option<Token>,
}

impl Person {
    fn of(folder: &'static str, roles: &'static [Role], kept: &Kept, entropy: &mut dyn Entropy) -> Self {
        let token = kept.text(format!("{folder}/api.token")).and_then(|text| Token::parse(text.trim()));
        match (token, kept.token_hash(folder)) {
            (None, Some(hash)) => Self { folder, roles, hash, token: None },
            (token, _) => {
                let token = token.unwrap_or_else(|| Token::generate(entropy));
                Self { folder, roles, hash: token.hash(), token: Some(token) }
            }
        }
    }
}

/// All of them.
pub struct People(Vec<Person>);

impl People {
    /// With the tokens that are there, and new ones. `access_body`: there is one that this network made.
    pub fn of(kept: &Kept, access_body: bool, entropy: &mut dyn Entropy) -> Self {
        let mut person = |folder, roles| Person::of(folder, roles, kept, entropy);
        let researcher = person("researcher", &[Role::Researcher]);
        let body = access_body.then(|| person("access-body", &[Role::AccessBody]));
        let operator = person(OPERATOR, &[Role::Operator, Role::Steward]);
        Self([Some(researcher), body, Some(operator)].into_iter().flatten().collect())
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
                .noted("token", person.hash.to_string(), "its hash")
                .set("days", DAYS);
        }
    }

    /// Puts each token, and the operator's profile, into its folder.
    pub fn folders(&self, network: &Network, root_pem: &str, tree: &mut Tree) {
        for (person, token) in self.0.iter().filter_map(|person| Some((person, person.token.as_ref()?))) {
            let token = Zeroizing::new(format!("{}\n", token.reveal()));
            tree.secret(format!("{}/api.token", person.folder), token);
            if render::has_tls(network) {
                tree.file(format!("{}/ca.pem", person.folder), root_pem);
            }
            if person.folder == OPERATOR {
                tree.file(format!("{OPERATOR}/profile.toml"), render::operator_profile(network).text());
            }
        }
    }
}
