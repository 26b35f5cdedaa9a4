//! The only type that serializes a secret, for documents that exist to carry one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::credentials::secret::Secret;

/// A secret that is sent to another process on purpose.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExposedSecret(pub Secret);

impl Serialize for ExposedSecret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.reveal())
    }
}

impl<'de> Deserialize<'de> for ExposedSecret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::new(text)))
    }
}
