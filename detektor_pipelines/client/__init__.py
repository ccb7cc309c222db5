"""Features for programs: `AgentFeatures("code-reviewer").get()` asks the feature server and gives a typed answer.

Belongs here: the client, out of the standard library alone, so that importing it costs a program nothing (docs/clients.md). Does not
belong here: Redis, Feast or the settings of a server. `agents` is made from the definitions by `detektor generate`.
"""

from detektor_pipelines.client.agents import (
    AgentFeatures,
    ArchitectureFeatures,
    CodeReviewFeatures,
    CodingFeatures,
    ContentFeatures,
    DebuggingFeatures,
    DeploymentFeatures,
    DocumentationFeatures,
    PipelineDebuggingFeatures,
)
from detektor_pipelines.client.connections import FeatureServerDownError, FeatureServerError, RequestRefusedError
from detektor_pipelines.client.values import AgentValues, Status, Value

__all__ = [
    "AgentFeatures",
    "AgentValues",
    "ArchitectureFeatures",
    "CodeReviewFeatures",
    "CodingFeatures",
    "ContentFeatures",
    "DebuggingFeatures",
    "DeploymentFeatures",
    "DocumentationFeatures",
    "FeatureServerDownError",
    "FeatureServerError",
    "PipelineDebuggingFeatures",
    "RequestRefusedError",
    "Status",
    "Value",
]
