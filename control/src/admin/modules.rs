//! Modules: loaded, loaded anew, unloaded, while traffic runs.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use secuxflow::plane::{ModuleConfig, ModuleStatus};

use super::{Admin, Answer};
use crate::{
    api::{ErrorCode, LoadModule, ModuleInfo, Modules},
    error::ApiError,
    modules::{Limits, LoadedModule, MAX_CODE, Origin, Signature, check_name},
};

impl Admin {
    /// All modules.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn modules(&self) -> Answer<Modules> {
        let status = self.ask(|backend| backend.status())?.modules;
        let known = self.state().inspection;
        let info = |status: ModuleStatus| known.module(&status.name).map(|module| info(status, module));
        Ok(Modules { modules: status.into_iter().filter_map(info).collect() })
    }

    /// One module.
    ///
    /// # Errors
    /// There is none of this name, or the daemon is stopping.
    pub(crate) fn module(&self, name: &str) -> Answer<ModuleInfo> {
        self.modules()?.modules.into_iter().find(|module| module.status.name == name).ok_or_else(|| unknown(name))
    }

    /// Load a module.
    ///
    /// # Errors
    /// A field is not valid, the name is taken, the file is no module that could run or is not to be trusted, or the change
    /// cannot be made.
    pub(crate) fn load_module(&self, name: &str, request: &LoadModule) -> Answer<ModuleInfo> {
        check_name(name).map_err(|rule| ApiError::invalid("name", rule))?;
        if request.reset {
            return Err(ApiError::invalid("reset", "a module that is not there has nothing to be reset"));
        }
        let Some(code) = code(request)? else {
            return Err(ApiError::invalid("code", "the module's file is needed, in base64"));
        };
        let module = self.made(Limits::default_config(name), code, signature(request)?, request)?;
        self.change_inspection(|state| {
            if state.inspection.module(name).is_some() {
                let message = format!("there is a module '{name}' already; `module reload` puts another in its place");
                return Err(ApiError::field(ErrorCode::Conflict, "name", message));
            }
            state.inspection.put_module(module);
            Ok(())
        })?;
        self.loaded(name)
    }

    /// Load a module anew: another file, other settings, or both.
    ///
    /// # Errors
    /// As [`Admin::load_module`], or there is none of this name. The module before then stays.
    pub(crate) fn reload_module(&self, name: &str, request: &LoadModule) -> Answer<ModuleInfo> {
        if request.reset {
            if *request != (LoadModule { reset: true, ..LoadModule::default() }) {
                return Err(ApiError::invalid("reset", "with it nothing else may be given"));
            }
            return self.reset_module(name);
        }
        let (code, signature) = (code(request)?, signature(request)?);
        self.change_inspection(|state| {
            let before = state.inspection.module(name).ok_or_else(|| unknown(name))?;
            let revision = before.config.revision + 1;
            let same_settings = request.limits() == Limits::default() && request.config.is_none();
            let mut module = match code {
                Some(code) => self.made(before.config.clone(), code, signature, request)?,
                None if signature.is_some() => {
                    return Err(ApiError::invalid("signature", "it is of no use without the code that it is of"));
                }
                None if before.origin == Origin::Config => {
                    let read = LoadedModule::configured(&self.configured(name)?, &self.fixed.trust);
                    let read = read.map_err(|error| ApiError::invalid("path", error.to_string()))?;
                    if same_settings {
                        read
                    } else {
                        let code = read.code().to_vec();
                        self.made(read.config, code, read.signature, request)?
                    }
                }
                None => self.made(before.config.clone(), before.code().to_vec(), before.signature, request)?,
            };
            // Also where nothing differs: who loads a module anew wants it back in service, as if it had just begun.
            module.config.revision = revision;
            state.inspection.put_module(module);
            Ok(())
        })?;
        self.loaded(name)
    }

    fn reset_module(&self, name: &str) -> Answer<ModuleInfo> {
        let read = LoadedModule::configured(&self.configured(name)?, &self.fixed.trust);
        let mut module = read.map_err(|error| ApiError::invalid("path", error.to_string()))?;
        self.change_inspection(|state| {
            module.config.revision = state.inspection.module(name).map_or(0, |before| before.config.revision + 1);
            state.inspection.put_module(module);
            Ok(())
        })?;
        self.loaded(name)
    }

    /// Unload a module.
    ///
    /// # Errors
    /// There is none of this name, chains have it, or the change cannot be made.
    pub(crate) fn unload_module(&self, name: &str) -> Answer<usize> {
        self.change_inspection(|state| {
            let all = &mut state.inspection;
            if all.module(name).is_none() {
                return Err(unknown(name));
            }
            let chains = all.chains_with(name);
            if !chains.is_empty() {
                let message = format!(
                    "the module '{name}' is part of the chains {}; take it out of those first",
                    chains.join(", ")
                );
                return Err(ApiError::field(ErrorCode::Conflict, "name", message));
            }
            all.modules.retain(|module| module.config.name != name);
            if self.fixed.modules.iter().any(|module| module.name == name) {
                all.unloaded.insert(name.to_owned());
            }
            Ok(1)
        })
    }

    /// A module that was just loaded; which file that was goes to the log.
    fn loaded(&self, name: &str) -> Answer<ModuleInfo> {
        let info = self.module(name)?;
        tracing::info!(module = name, sha256 = info.status.sha256, signed_by = info.signed_by, "module is live");
        Ok(info)
    }

    /// `before` with this code and what the request says.
    fn made(
        &self,
        before: ModuleConfig,
        code: Vec<u8>,
        signature: Option<Signature>,
        request: &LoadModule,
    ) -> Answer<LoadedModule> {
        let mut config = before;
        let mut fault = None;
        request
            .limits()
            .apply(&mut config, |field, rule| fault = Some(ApiError::invalid(field, format!("{field}: {rule}"))));
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(path) = &request.path {
            config.path = path.into();
        }
        if let Some(table) = &request.config {
            config.config = serde_json::Value::from(table.clone()).to_string();
        }
        let name = config.name.clone();
        LoadedModule::new(config, code, signature, Origin::Api, &self.fixed.trust)
            .map_err(|reason| ApiError::invalid("signature", format!("module {name}: {reason}")))
    }

    /// What the configuration says of a module, with files that its options name as they are now.
    fn configured(&self, name: &str) -> Answer<ModuleConfig> {
        let Some(known) = self.fixed.modules.iter().find(|module| module.name == name) else {
            let message = format!("the configuration file has no module '{name}'");
            return Err(ApiError::field(ErrorCode::NotFound, "name", message));
        };
        let config = self.fixed.options.read(name);
        let config = config.map_err(|(field, why)| ApiError::invalid("config", format!("config.{field}: {why}")))?;
        Ok(ModuleConfig { config, ..known.clone() })
    }
}

fn info(status: ModuleStatus, module: &Arc<LoadedModule>) -> ModuleInfo {
    let Limits { deadline_ms, heap_mib, max_failures, .. } = Limits::of(&module.config);
    ModuleInfo {
        status,
        origin: module.origin,
        signed_by: module.signed_by.clone(),
        deadline_ms,
        heap_mib,
        max_failures,
        config: serde_json::from_str(&module.config.config).unwrap_or_default(),
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::field(ErrorCode::NotFound, "name", format!("there is no module '{name}'; see `module list`"))
}

fn code(request: &LoadModule) -> Answer<Option<Vec<u8>>> {
    let Some(text) = &request.code else { return Ok(None) };
    let code = BASE64.decode(text).map_err(|e| ApiError::invalid("code", format!("code: no base64: {e}")))?;
    if code.len() > MAX_CODE {
        let message = format!("code: {} bytes, at most {MAX_CODE} fit", code.len());
        return Err(ApiError::invalid("code", message));
    }
    Ok(Some(code))
}

fn signature(request: &LoadModule) -> Answer<Option<Signature>> {
    let Some(text) = &request.signature else { return Ok(None) };
    let refuse = || ApiError::invalid("signature", "signature: 64 bytes in base64 expected");
    Signature::parse(text.as_bytes()).map(Some).ok_or_else(refuse)
}
