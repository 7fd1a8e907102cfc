package dev.nibble.runtime.kernel;

import dev.nibble.runtime.GpuTest;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Marks tests of kernels that go through a {@link GpuFixture}: they run on a GPU, or with {@code
 * -Dtraces=FOLDER} write what they would launch, and what must come out, to {@code FOLDER}.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@Tag("gpu")
@ExtendWith(KernelTest.Condition.class)
public @interface KernelTest {
  /** Asks for the driver, unless nothing runs. */
  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      return System.getProperty("traces") == null
          ? new GpuTest.Condition().evaluateExecutionCondition(context)
          : ConditionEvaluationResult.enabled("writes a trace");
    }
  }
}
