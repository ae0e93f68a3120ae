"""The composition of the activities: which client goes into which, once for a process."""

import os
import socket
from dataclasses import dataclass

from temporalio.client import Client

from activities.accounts import Accounts
from activities.admission import AdmissionActivities
from activities.canary import CanaryActivities
from activities.circuit import Rules
from activities.circuits import Circuits
from activities.dispatch import Dispatcher
from activities.docker_pool import DockerSandboxPool
from activities.escalations import EscalationActivities
from activities.evaluation import EvaluationActivities
from activities.given import GivenActivities
from activities.guideline_checks import check_guideline
from activities.learning import LearningActivities
from activities.ledger import Ledger
from activities.llm import LlmActivities
from activities.mending import MendingActivities
from activities.models import Models
from activities.parking import ParkingActivities
from activities.prompt_updates import PromptUpdateActivities
from activities.reconcile import ReconcileActivities
from activities.records import RecordActivities
from activities.routes import read_routes
from activities.sandbox import SandboxActivities
from activities.scan import ScanActivities
from activities.store import TaskStore
from activities.verdicts import Verdicts
from activities.votes import VoteActivities
from schema.database import Database
from schema.policies import default_policy
from schema.settings import Settings


@dataclass(frozen=True)
class Parts:
    """Everything that a worker of any kind may run."""

    database: Database
    pool: DockerSandboxPool
    circuits: Circuits
    admission: AdmissionActivities
    given: GivenActivities
    escalations: EscalationActivities
    llm: LlmActivities
    parking: ParkingActivities
    records: RecordActivities
    votes: VoteActivities
    sandbox: SandboxActivities
    mending: MendingActivities
    reconcile: ReconcileActivities
    scan: ScanActivities
    learning: LearningActivities
    evaluation: EvaluationActivities
    prompts: PromptUpdateActivities
    canaries: CanaryActivities


def compose(settings: Settings, client: Client) -> Parts:
    """Build the parts; nothing is connected or started yet.

    Raises:
        SettingsError: the models' routes or the default policy can't be read.
    """
    database = Database.from_settings(settings)
    models = Models(read_routes(settings), timeout_seconds=settings.model_timeout_seconds)
    store, accounts, ledger = TaskStore(database), Accounts(database, models.worst_price), Ledger(database)
    verdicts = Verdicts(accounts)
    rules = Rules.from_settings(settings)
    circuits = Circuits(database, f"{socket.gethostname()}:{os.getpid()}", rules)
    pool = DockerSandboxPool(
        isolation=settings.sandbox_isolation,
        runtime=settings.sandbox_runtime,
        images=settings.sandbox_images,
        size=settings.sandbox_pool,
        # The same after a restart, so that a worker finds what it left when it crashed; another stack's is another.
        owner=f"{socket.gethostname()}:{settings.home}",
    )
    return Parts(
        database=database,
        pool=pool,
        circuits=circuits,
        admission=AdmissionActivities(store, accounts, default_policy(settings)),
        given=GivenActivities(store),
        escalations=EscalationActivities(database),
        llm=LlmActivities(store, ledger, Dispatcher(ledger, models, circuits, rules, spoken=settings.trace_prompts)),
        parking=ParkingActivities(accounts),
        records=RecordActivities(verdicts),
        votes=VoteActivities(store),
        sandbox=SandboxActivities(store, pool),
        mending=MendingActivities(store, pool),
        reconcile=ReconcileActivities(database, verdicts, client, settings.retention_days),
        scan=ScanActivities(database, client, settings),
        learning=LearningActivities(
            database,
            default_policy(settings),
            expires_hours=settings.approval_hours,
            remind_hours=settings.approval_reminder_hours,
        ),
        evaluation=EvaluationActivities(
            store,
            accounts,
            models,
            default_policy(settings),
            tasks=settings.evaluation_tasks,
            pairs=settings.evaluation_pairs,
            min_tasks=settings.evaluation_min_tasks,
            margin=settings.evaluation_margin,
        ),
        prompts=PromptUpdateActivities(accounts, settings, check_guideline),
        canaries=CanaryActivities(database, settings),
    )
