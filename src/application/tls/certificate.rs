//! Names in a server certificate that TLS up to 1.2 shows.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::client_hello::{host_name, printable};

/// Names kept of one certificate; shared front ends carry a hundred.
const MAX_NAMES: usize = 128;

/// Who a certificate is for and from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::application) struct Names {
    /// Subject common name, then DNS alternative names: lower case, each once, at most 128.
    pub(in crate::application) subjects: Vec<String>,
    /// Issuer organisation, else its common name.
    pub(in crate::application) issuer: Option<String>,
}

/// Reads one certificate in DER (RFC 5280).
pub(in crate::application) fn names(der: &[u8]) -> Option<Names> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut subjects: Vec<String> = Vec::new();
    let common = certificate.subject().iter_common_name().next();
    let common = common.and_then(|name| host_name(name.as_slice()));
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives
        .iter()
        .flat_map(|list| &list.value.general_names);
    let alternatives = alternatives.filter_map(|name| match name {
        GeneralName::DNSName(name) => host_name(name.as_bytes()),
        _ => None,
    });
    for name in common.into_iter().chain(alternatives).take(MAX_NAMES) {
        if !subjects.contains(&name) {
            subjects.push(name);
        }
    }
    let issuer = certificate.issuer();
    let issuer = issuer
        .iter_organization()
        .next()
        .or_else(|| issuer.iter_common_name().next())
        .map(|name| printable(name.as_slice()));
    Some(Names { subjects, issuer })
}
