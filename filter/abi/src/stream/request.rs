//! What the filter reads and changes of a request, of its route and of its connections.

use kiteway_filter_core::host::request::{Connected, Destination, Request, Routed, Upstream};
use kiteway_filter_core::RouteConfig;

use crate::buffers::{EnvoyBuffer, EnvoyHeader};
use crate::callbacks::*;
use crate::stream::EnvoyStream;

const HEADER_REQUEST: u32 = 0;
/// Kiteway's endpoints all have it.
const HIGHEST_PRIORITY: u32 = 0;
/// `connection.requested_server_name` in the enum of attributes. Envoy 1.40 is the first that gives it to an HTTP filter; older
/// versions answer that there is none.
const ATTRIBUTE_REQUESTED_SERVER_NAME: u32 = 30;
/// `upstream.address` in the enum of attributes.
const ATTRIBUTE_UPSTREAM_ADDRESS: u32 = 41;
/// Nearly every request has fewer headers than this.
const FEW_HEADERS: usize = 32;

impl Request for EnvoyStream {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        self.header(HEADER_REQUEST, name)
    }

    fn request_headers<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        let mut values = [None; N];
        self.each_request_header(|name, found| {
            for (wanted, value) in names.iter().zip(&mut values) {
                if value.is_none() && wanted.as_bytes() == name {
                    *value = Some(found);
                }
            }
        });
        values
    }

    fn each_request_header<'a>(&'a self, mut each: impl FnMut(&'a [u8], &'a [u8])) {
        // SAFETY: the pointer is that of the running hook.
        let count = unsafe {
            envoy_dynamic_module_callback_http_get_headers_size(self.hook, HEADER_REQUEST)
        };
        let (mut few, mut many) = ([EnvoyHeader::EMPTY; FEW_HEADERS], Vec::new());
        let headers = if count <= FEW_HEADERS {
            &mut few[..count]
        } else {
            many.resize(count, EnvoyHeader::EMPTY);
            &mut many[..]
        };
        // SAFETY: Envoy writes exactly as many headers as it has just said, or none and says so.
        let present = unsafe {
            envoy_dynamic_module_callback_http_get_headers(
                self.hook,
                HEADER_REQUEST,
                headers.as_mut_ptr(),
            )
        };
        for header in headers.iter().filter(|_| present) {
            each(self.lent(header.name), self.lent(header.value));
        }
    }

    fn set_request_header(&mut self, name: &str, value: &str) {
        self.set_header(HEADER_REQUEST, name, value.into());
    }
}

impl Routed<RouteConfig> for EnvoyStream {
    fn route_config(&self) -> Option<&RouteConfig> {
        let config = self.route_config.get().unwrap_or_else(|| {
            // SAFETY: the pointer is that of the running hook.
            let found =
                unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.hook) };
            self.route_config.set(Some(found));
            found
        });
        // SAFETY: null, or what `per_route_config_new` made of type `RouteConfig`; the stream holds
        // its route, and the route its configuration, for longer than the hook runs.
        unsafe { config.cast::<RouteConfig>().as_ref() }
    }

    fn choose_route_again(&mut self) {
        // SAFETY: the pointer is that of the running hook. Nothing borrows the old route's configuration: it would borrow
        // the stream.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(self.hook) }
        self.route_config.set(None);
    }
}

impl Destination for EnvoyStream {
    fn has_no_healthy_endpoint(&self) -> bool {
        let (mut total, mut healthy, mut degraded) = (0, 0, 0);
        // SAFETY: the pointer is that of the running hook; Envoy writes three numbers, or answers false.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_cluster_host_count(
                self.hook,
                HIGHEST_PRIORITY,
                &mut total,
                &mut healthy,
                &mut degraded,
            )
        };
        found && healthy + degraded == 0
    }
}

impl Connected for EnvoyStream {
    fn server_name(&self) -> Option<&[u8]> {
        self.attribute(ATTRIBUTE_REQUESTED_SERVER_NAME)
    }
}

impl Upstream for EnvoyStream {
    fn endpoint(&self) -> Option<&[u8]> {
        self.attribute(ATTRIBUTE_UPSTREAM_ADDRESS)
    }
}

impl EnvoyStream {
    fn attribute(&self, attribute: u32) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy writes one buffer.
        let found = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.hook, attribute, &mut value,
            )
        };
        // SAFETY: the text belongs to the connection or to the endpoint, which the stream holds for longer than the hook
        // runs.
        found.then(|| unsafe { value.as_slice() })
    }
}
