//! A FHIR server's address, and whether another address is on the same server: the access token goes nowhere else.

use std::fmt::{self, Display};

use reqwest::Url;

/// The base address of a FHIR server: `https://`, or `http://` to this machine, or where the person says `insecure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    url: Url,
    insecure: bool,
}

impl Base {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence and a hint.
    pub fn parse(text: &str, insecure: bool) -> Result<Self, (&'static str, &'static str)> {
        const EXAMPLE: &str = "for example url = \"https://fhir.example.org/r4\"";
        let mut url = Url::parse(text).map_err(|_| ("not an address", EXAMPLE))?;
        if url.host().is_none() || !matches!(url.scheme(), "https" | "http") {
            return Err(("not an https:// address", EXAMPLE));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(("an address without user, password, `?` and `#` is wanted", EXAMPLE));
        }
        if !is_allowed(&url, insecure) {
            let hint = "patients' records would travel in the clear: write https://, or insecure = true where the way to the server is safe by other means";
            return Err(("http:// to another machine", hint));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url, insecure })
    }

    /// The address of `path` below the base.
    pub(crate) fn below(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        url
    }

    /// Whether `url` is on this server: same scheme, host and port.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// Whether `url`, which this server named, may be asked for anything at all. Another one in the clear may not, on this machine neither: a list of
    /// files must not reach what listens here.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let clear = self.insecure && url.scheme() == "http";
        url.host().is_some() && (self.owns(url) || url.scheme() == "https" || clear)
    }

    /// Its name in messages.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

fn is_allowed(url: &Url, insecure: bool) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => insecure || is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clear_is_for_this_machine_or_where_a_person_says_so() {
        for fine in
            ["https://fhir.example.org/r4/", "http://127.0.0.1:8080/fhir", "http://localhost", "http://[::1]:80/x"]
        {
            assert!(Base::parse(fine, false).is_ok(), "{fine}");
        }
        assert_eq!(Base::parse("http://fhir.example.org", false).unwrap_err().0, "http:// to another machine");
        assert_eq!(Base::parse("http://localhost.example.org", false).unwrap_err().0, "http:// to another machine");
        assert!(Base::parse("http://fhir.example.org", true).is_ok());
        for wrong in [
            "",
            "fhir.example.org",
            "ftp://a.org",
            "file:///etc",
            "https://u:p@a.org",
            "https://a.org/?token=1",
            "https://a.org/#x",
        ] {
            assert!(Base::parse(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let base = Base::parse("https://fhir.example.org/r4", false).unwrap();
        assert_eq!(base.below("Patient/$export").as_str(), "https://fhir.example.org/r4/Patient/$export");
        let owns = |text: &str| base.owns(&Url::parse(text).unwrap());
        assert!(owns("https://fhir.example.org:443/elsewhere"));
        for other in [
            "http://fhir.example.org/r4",
            "https://fhir.example.org:8443/r4",
            "https://example.org/r4",
            "https://fhir.example.org.evil.org/",
        ] {
            assert!(!owns(other), "{other}");
        }
        let local = Base::parse("http://127.0.0.1:8080/r4", false).unwrap();
        let allows = |text: &str| local.allows(&Url::parse(text).unwrap());
        assert!(allows("http://127.0.0.1:8080/a") && allows("https://files.example.org/a"));
        assert!(
            !allows("http://127.0.0.1:9090/a")
                && !allows("http://files.example.org/a")
                && !allows("file:///etc/passwd")
        );
    }
}
