package dev.nibble.runtime;

import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Marks tests that run on a GPU. They are left out only where there is no driver; with {@code
 * -Dgpu=required} that fails too.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@Tag("gpu")
@ExtendWith(GpuTest.Condition.class)
public @interface GpuTest {
  /** Asks for the driver. */
  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      CudaStatus status = CudaDevices.probe();
      boolean required = "required".equals(System.getProperty("gpu"));
      return status instanceof CudaStatus.DriverAbsent && !required
          ? ConditionEvaluationResult.disabled(status.summary())
          : ConditionEvaluationResult.enabled(status.summary());
    }
  }
}
