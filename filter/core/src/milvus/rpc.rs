//! What the filter knows of an rpc.

/// What an rpc does, as the catalogue classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    AdminCluster,
    AdminRbac,
    AdminRead,
    Ddl,
    Health,
    Load,
    Maint,
    MetaRead,
    Read,
    ReadCpu,
    Replication,
    Session,
    Telemetry,
    Write,
    WriteBulk,
}

/// Where a response carries its `common.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAt {
    /// The response message is itself a `common.Status`.
    Message,
    /// In the field with this number.
    Field(u32),
    /// There is none, or the call streams.
    Nowhere,
}

/// One rpc of Milvus.
#[derive(Debug, PartialEq, Eq)]
pub struct Rpc {
    /// `Service/Method`, without the package.
    path: &'static str,
    /// The method's name, which no two services share.
    pub name: &'static str,
    pub class: Class,
    /// Whether it may be sent again when an endpoint has seen it; the routes go by the same catalogue.
    pub repeatable: bool,
    pub status: StatusAt,
}

impl Rpc {
    pub const fn new(
        path: &'static str,
        name: &'static str,
        class: Class,
        repeatable: bool,
        status: StatusAt,
    ) -> Self {
        Self { path, name, class, repeatable, status }
    }

    /// What the table is sorted by.
    pub fn key(&self) -> (usize, &'static [u8]) {
        (self.path.len(), self.path.as_bytes())
    }
}
