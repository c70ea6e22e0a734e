//! The client's private key (SMART backend services): ES384 or RS384. It signs assertions and shows its public half; nothing else leaves it.
//!
//! Two calls of ring, which the tree has anyway: jsonwebtoken has no ring since version 10, and its pure Rust way goes through `rsa`, whose timing
//! tells of the key (RUSTSEC-2023-0071).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bocage_net::secret::{SecretError, read_secret};
use bocage_protocol::limits::SECRET_FILE_BYTES;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA384, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// Why a key cannot be used. Its content is in none of them.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("{}", first_line(.0))]
    File(#[from] SecretError),
    /// It is no key that the standard names.
    #[error("{}: not a private key for ES384 (P-384) or RS384 (RSA of 2048 to 4096 bits)", .file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
    },
    /// Signing fails.
    #[error("{}: the key does not sign", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
    },
}

fn first_line(error: &SecretError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(SecretError::Exposed { .. }) => "a key is its owner's alone: chmod 600",
            Self::File(_) => "a key is a file that only the node's user may read",
            _ => {
                "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out fhir.key && chmod 600 fhir.key`"
            }
        }
    }
}

enum Pair {
    Es384(EcdsaKeyPair),
    Rs384(RsaKeyPair),
}

/// A private key that signs a client's assertions.
pub struct SigningKey {
    pair: Pair,
    id: String,
    file: PathBuf,
}

impl SigningKey {
    /// Reads a key in PEM, which nobody but its owner may read. Its id is `id`, or the thumbprint of its public half.
    ///
    /// # Errors
    /// Where file or key are not as they must be.
    pub fn read(file: &Path, id: Option<&str>) -> Result<Self, KeyError> {
        let pem = read_secret(file, SECRET_FILE_BYTES)?;
        let unknown = || KeyError::Unknown { file: file.to_owned() };
        let pair = match PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unknown())? {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, &SystemRandom::new())
                    .map(Pair::Es384)
                    .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Pair::Rs384))
            }
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Pair::Rs384),
            _ => return Err(unknown()),
        };
        let mut key = Self { pair: pair.map_err(|_| unknown())?, id: String::new(), file: file.to_owned() };
        key.id = id.map_or_else(|| key.thumbprint(), str::to_owned);
        Ok(key)
    }

    /// The public half as a JSON Web Key, to be registered at the server.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.members();
        jwk["alg"] = self.algorithm().into();
        jwk["kid"] = self.id.as_str().into();
        jwk["use"] = "sig".into();
        jwk["key_ops"] = json!(["verify"]);
        jwk
    }

    /// `claims`, signed.
    ///
    /// # Errors
    /// Where ring refuses.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({ "alg": self.algorithm(), "kid": self.id, "typ": "JWT" });
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es384(pair) => pair.sign(&random, text.as_bytes()).map(|signature| signature.as_ref().to_vec()),
            Pair::Rs384(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &random, text.as_bytes(), &mut signature).map(|()| signature)
            }
        };
        let signature = signature.map_err(|_| KeyError::Unusable { file: self.file.clone() })?;
        Ok(format!("{text}.{}", BASE64.encode(signature)))
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es384(_) => "ES384",
            Pair::Rs384(_) => "RS384",
        }
    }

    /// The members of the public key that its thumbprint is made of.
    fn members(&self) -> Value {
        match &self.pair {
            Pair::Es384(pair) => {
                // 0x04, then both coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                json!({ "crv": "P-384", "kty": "EC", "x": BASE64.encode(x), "y": BASE64.encode(y) })
            }
            Pair::Rs384(pair) => {
                let public: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({ "e": BASE64.encode(public.e), "kty": "RSA", "n": BASE64.encode(public.n) })
            }
        }
    }

    /// RFC 7638: the digest of the members in their alphabetical order, in which they are written above.
    fn thumbprint(&self) -> String {
        BASE64.encode(digest(&SHA256, self.members().to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_net::secret::write_secret;
    use ring::signature::{ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey};

    fn parts(token: &str) -> (String, Value, Value, Vec<u8>) {
        let (text, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = text.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap();
        (text.to_owned(), json(header), json(claims), BASE64.decode(signature).unwrap())
    }

    fn key(pem: &str) -> Result<SigningKey, KeyError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fhir.key");
        write_secret(&file, pem.as_bytes()).unwrap();
        SigningKey::read(&file, None)
    }

    fn p384() -> String {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()
    }

    #[test]
    fn an_assertion_is_signed_so_that_the_registered_public_key_verifies_it() {
        let decode = |jwk: &Value, name: &str| BASE64.decode(jwk[name].as_str().unwrap()).unwrap();
        let es = key(&p384()).unwrap();
        let (text, header, claims, signature) = parts(&es.sign(&json!({ "iss": "us" })).unwrap());
        let jwk = es.jwk();
        assert_eq!((&header["alg"], &header["kid"], &claims["iss"]), (&json!("ES384"), &jwk["kid"], &json!("us")));
        let point = [&[4], &decode(&jwk, "x")[..], &decode(&jwk, "y")].concat();
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(text.as_bytes(), &signature).unwrap();

        let rs = key(include_str!("../tests/bulk/rsa-for-tests.pem")).unwrap();
        let (text, header, _, signature) = parts(&rs.sign(&json!({})).unwrap());
        let jwk = rs.jwk();
        assert_eq!(header["alg"], "RS384");
        let public = ring::rsa::PublicKeyComponents { n: decode(&jwk, "n"), e: decode(&jwk, "e") };
        public.verify(&RSA_PKCS1_2048_8192_SHA384, text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let es = key(&p384()).unwrap();
        let jwk = es.jwk();
        let text = format!(r#"{{"crv":"P-384","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        assert_eq!(jwk["kid"], BASE64.encode(digest(&SHA256, text.as_bytes())));
        assert!(jwk.get("d").is_none());
    }

    #[test]
    fn keys_of_other_kinds_and_keys_that_others_may_read_are_refused_without_their_content() {
        let p256 = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (pem, why) in [(p256.as_str(), "not a private key for ES384"), ("secret words", "not a private key")] {
            let error = key(pem).err().unwrap();
            assert!(error.to_string().contains(why) && error.hint().contains("openssl genpkey"), "{error}");
            assert!(!error.to_string().contains("secret words"));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("open.key");
        std::fs::write(&file, p384()).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let error = SigningKey::read(&file, None).err().unwrap();
        assert!(error.to_string().contains("others may read") && error.hint().contains("chmod 600"), "{error}");
    }
}
