//! Services: added and deleted.

use secuxflow::service::{Service, ServiceSpec};

use super::{Admin, Answer};
use crate::{
    api::{ErrorCode, Services},
    error::ApiError,
};

impl Admin {
    /// All services.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn services(&self) -> Answer<Services> {
        self.ask(|backend| Ok(Services { services: backend.status()?.services }))
    }

    /// Add a service.
    ///
    /// # Errors
    /// The service is not valid, its name or address is taken, or the change cannot be made.
    pub(crate) fn add_service(&self, spec: &ServiceSpec) -> Answer<Service> {
        let service = spec.check()?;
        self.change(|state| {
            for known in &state.services {
                if known.name == service.name {
                    let message = format!("there is a service '{}' already; delete it first", known.name);
                    return Err(ApiError::field(ErrorCode::Conflict, "name", message));
                }
                if known.ip == service.ip {
                    let message = format!("{} belongs to the service '{}' already", known.ip, known.name);
                    return Err(ApiError::field(ErrorCode::Conflict, "ip", message));
                }
            }
            state.services.push(service.clone());
            Ok(service)
        })
    }

    /// Delete the service `name`.
    ///
    /// # Errors
    /// There is none of that name, or the change cannot be made.
    pub(crate) fn delete_service(&self, name: &str) -> Answer<usize> {
        self.change(|state| {
            let before = state.services.len();
            state.services.retain(|service| service.name != name);
            match before - state.services.len() {
                0 => {
                    let message = format!("there is no service '{name}'; see `service list`");
                    Err(ApiError::field(ErrorCode::NotFound, "name", message))
                }
                removed => Ok(removed),
            }
        })
    }
}
