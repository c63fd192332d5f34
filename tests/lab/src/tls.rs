//! The TLS stacks at both ends: rustls, a certificate authority of the lab's own, and hellos of the sizes clients send today.

use std::sync::Arc;

use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{NamedGroup, RootCertStore};

/// X25519MLKEM768 as far as the wire can tell: shares of the right length, of which only the X25519 half is used.
///
/// The hello must span two segments as today's do; the lab has nothing to keep secret.
#[derive(Debug)]
struct Hybrid;
static HYBRID: Hybrid = Hybrid;

/// An ML-KEM-768 encapsulation key and ciphertext (FIPS 203, table 3).
const ENCAPSULATION_KEY: usize = 1184;
const CIPHERTEXT: usize = 1088;

struct HybridExchange {
    inner: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

fn wide(length: usize, half: &[u8]) -> Vec<u8> {
    let mut share: Vec<u8> = (0..length).map(|_| rand::random()).collect();
    share.extend_from_slice(half);
    share
}
fn half(peer: &[u8]) -> Result<&[u8], rustls::Error> {
    peer.len()
        .checked_sub(32)
        .map(|at| &peer[at..])
        .ok_or(rustls::Error::General("short key share".into()))
}

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let inner = ring::kx_group::X25519.start()?;
        let share = wide(ENCAPSULATION_KEY, inner.pub_key());
        Ok(Box::new(HybridExchange { inner, share }))
    }
    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, rustls::Error> {
        let inner = ring::kx_group::X25519.start()?;
        let pub_key = wide(CIPHERTEXT, inner.pub_key());
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key,
            secret: inner.complete(half(peer)?)?,
        })
    }
    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
    fn usable_for_version(&self, version: rustls::ProtocolVersion) -> bool {
        version == rustls::ProtocolVersion::TLSv1_3
    }
}
impl ActiveKeyExchange for HybridExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        self.inner.complete(half(peer)?)
    }
    fn pub_key(&self) -> &[u8] {
        &self.share
    }
    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

fn provider(hybrid: bool) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    if hybrid {
        provider.kx_groups.insert(0, &HYBRID);
    }
    Arc::new(provider)
}

/// One certificate authority for a run and one certificate a name.
pub struct Authority {
    roots: Arc<RootCertStore>,
    names: Vec<(String, Arc<CertifiedKey>)>,
}

impl Authority {
    pub fn new(names: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        let mut params = rcgen::CertificateParams::new(vec![])?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Lab Root");
        let root = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        let mut signed = Vec::new();
        for name in names {
            let key = rcgen::KeyPair::generate()?;
            // Real certificates carry many names; a chain of a few kilobytes is what makes the server's flight span segments.
            let mut all = vec![name.clone()];
            all.extend((0..40).map(|i| format!("alt{i:02}.edge-cache.{name}")));
            let certificate = rcgen::CertificateParams::new(all)?.signed_by(&key, &root)?;
            let chain: Vec<CertificateDer<'static>> =
                vec![certificate.der().clone(), root.der().clone()];
            let private = PrivateKeyDer::try_from(key.serialize_der())?;
            let signer = ring::sign::any_supported_type(&private)?;
            signed.push((name.clone(), Arc::new(CertifiedKey::new(chain, signer))));
        }
        Ok(Self {
            roots: Arc::new(roots),
            names: signed,
        })
    }

    pub fn client(
        &self,
        tls12: bool,
        hybrid: bool,
        alpn: &[&str],
    ) -> Result<rustls::ClientConfig, rustls::Error> {
        let versions: &[&rustls::SupportedProtocolVersion] = if tls12 {
            &[&rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        };
        let mut config = rustls::ClientConfig::builder_with_provider(provider(hybrid))
            .with_protocol_versions(versions)?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// For QUIC, which takes TLS 1.3 and nothing else.
    pub fn quic_client(&self, hybrid: bool) -> Result<rustls::ClientConfig, rustls::Error> {
        let mut config = rustls::ClientConfig::builder_with_provider(provider(hybrid))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h3".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// A server that knows its names; with `refuse` it knows none and answers every hello with an alert.
    pub fn server(&self, refuse: bool, quic: bool) -> Result<rustls::ServerConfig, rustls::Error> {
        let names = if refuse {
            Vec::new()
        } else {
            self.names.clone()
        };
        let versions: &[&rustls::SupportedProtocolVersion] = if quic {
            &[&rustls::version::TLS13]
        } else {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        };
        let mut config = rustls::ServerConfig::builder_with_provider(provider(true))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Names(names)));
        config.alpn_protocols = [&b"h3"[..], b"h2", b"http/1.1"]
            .iter()
            .map(|p| p.to_vec())
            .collect();
        Ok(config)
    }
}

#[derive(Debug)]
struct Names(Vec<(String, Arc<CertifiedKey>)>);
impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, key)| key.clone())
    }
}
