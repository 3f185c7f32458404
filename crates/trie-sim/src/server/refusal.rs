//! Error answers in the shapes that clients meet.

use hyper::{Response, StatusCode, header};

use super::body::Reply;

/// Why a request gets no completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    shape: Shape,
    retry_after_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"error": {...}}` with the field at fault.
    OpenAi { param: Option<&'static str> },
    /// `{"detail": ...}`, as servers built on `FastAPI` answer what they do not expect.
    Detail,
}

impl Refusal {
    /// 400, naming the field at fault.
    pub(super) fn bad(param: &'static str, message: impl Into<String>) -> Self {
        let shape = Shape::OpenAi { param: Some(param) };
        Self { status: 400, message: message.into(), shape, retry_after_s: None }
    }

    /// Any status, without a field at fault.
    pub(super) fn plain(status: u16, message: impl Into<String>) -> Self {
        let shape = Shape::OpenAi { param: None };
        Self { status, message: message.into(), shape, retry_after_s: None }
    }

    /// 422 as Hugging Face serve gives it.
    pub(super) fn unexpected_field(name: &str) -> Self {
        let message = format!("Unexpected fields in the request: {{'{name}'}}");
        Self { status: 422, message, shape: Shape::Detail, retry_after_s: None }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    pub(super) fn response(&self) -> Response<Reply> {
        let body = match self.shape {
            Shape::OpenAi { param } => serde_json::json!({"error": {
                "message": self.message, "type": self.kind(), "param": param, "code": self.status,
            }}),
            Shape::Detail => serde_json::json!({"detail": self.message}),
        };
        let mut response = Response::new(Reply::whole(body.to_string()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("every refusal's status has three digits");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    fn kind(&self) -> &'static str {
        match self.status {
            401 => "AuthenticationError",
            404 => "NotFoundError",
            429 => "RateLimitError",
            500.. => "InternalServerError",
            _ => "BadRequestError",
        }
    }
}
