//! A plain HTTP server on a thread of its own.

use axum::Router;
use tokio::sync::oneshot;

/// Serves until it is dropped.
pub(crate) struct BackgroundServer {
    stop: Option<oneshot::Sender<()>>,
}

impl BackgroundServer {
    /// Serves `router` on `listener`, which does not block.
    pub(crate) fn start(listener: std::net::TcpListener, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { stop: Some(stop) }
    }
}

impl Drop for BackgroundServer {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }
}
