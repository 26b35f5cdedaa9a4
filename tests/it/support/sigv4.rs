//! Checks AWS Signature Version 4 as described in the AWS General Reference ("Signature Version 4
//! signing process").

use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The parts of an `Authorization` header.
pub(crate) struct Signed {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    headers: Vec<String>,
    signature: String,
}

impl Signed {
    /// `None` if the header is missing or has another format.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("authorization")?.to_str().ok()?;
        let fields = text.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else { return None };
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?.to_owned(),
        })
    }

    /// Whether `secret` signed this request.
    pub(crate) fn is_of(
        &self,
        secret: &str,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> bool {
        let value =
            |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let line = |name: &String| {
            format!(
                "{name}:{}
",
                value(name).trim()
            )
        };
        let lines = self.headers.iter().map(line).collect::<Vec<_>>().concat();
        let request = format!(
            "{method}\n{}\n{}\n{lines}\n{}\n{}",
            uri.path(),
            uri.query().unwrap_or_default(),
            self.headers.join(";"),
            hex::encode(Sha256::digest(body)),
        );
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            value("x-amz-date"),
            hex::encode(Sha256::digest(request)),
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        hex::encode(hmac(&key, &to_sign)) == self.signature
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
